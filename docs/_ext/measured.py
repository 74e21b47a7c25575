"""Published results of a method: means over craft seeds, from every folder of ``leaderboards`` with a ``results.csv``.

The texts of a row are those of that file. What is averaged comes from the records beside it, as on boards: the file
rounds it, and a mean half-way between two digits would then be rounded once more. The verdict of the gate on a row's
setting comes from the ``leaderboard.csv`` beside it; clean rows have none.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from _ext.markdown import code, table
from _ext.paths import LEADERBOARDS, ROOT
from ucbench.leaderboard.earlier import stated_versions
from ucbench.matrix.axes import AXIS, GROUP_COLUMNS
from ucbench.matrix.from_record import poisoner_of
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN
from ucbench.plugins.grammar import base_name, parse, parse_chain
from ucbench.plugins.registry import installed
from ucbench.results.columns import ENTRY, SETTING, column
from ucbench.results.records import read_records
from ucbench.results.statistics import t_interval
from ucbench.results.table import dicts
from ucbench.results.table import rows as rows_of

Row = dict[str, str]

#: Columns in which averaged rows are equal.
GROUP = (*GROUP_COLUMNS, "gate")
#: Columns that are averaged.
_MEASURED = ("test_accuracy", "clean_accuracy", "sham_accuracy", "craft_seconds")


class Figure(NamedTuple):
    """One line of a table: what its rows share, their cells, and numbers by craft seed; accuracies in percent."""

    shared: Row
    cells: frozenset[str]
    accuracy: list[float]
    clean: list[float]
    sham: list[float]
    craft_seconds: list[float]


@functools.cache
def results() -> tuple[tuple[Path, tuple[Row, ...]], ...]:
    """The finished rows of every published results file, by path from the checkout's root."""
    return tuple((path.relative_to(ROOT), tuple(_finished(path))) for path in sorted(LEADERBOARDS.rglob("results.csv")))


def _finished(path: Path) -> Iterator[Row]:
    entries = _read(path.with_name("leaderboard.csv"))
    gates = {tuple(entry[name] for name in SETTING): entry["gate"] for entry in entries}
    exact = {row["cell"]: row for row in dicts(rows_of(read_records(path.parent)))}
    for row in _read(path):
        if row["status"] == "ok":
            numbers = {name: repr(exact[row["cell"]][name]) for name in _MEASURED if row[name]}
            yield {**row, **numbers, "gate": gates.get(tuple(row[name] for name in SETTING), "")}


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def base(reference: str) -> str:
    """The name in a component reference: ``uc`` of ``uc:clusters=20``."""
    return parse(reference).name


def measures(kind: str, name: str) -> Callable[[Row], bool]:
    """Whether a row measures the component of this kind and name.

    Only clean rows measure data sets and victims: the effect of a poisoner is on the poisoner's page.
    """

    def wanted(row: Row) -> bool:
        if kind == "poisoner":
            return base(row["poisoner"]) == name
        if kind == "defense":
            chain = row["defense"]
            return chain != "none" and name in (part.name for part in parse_chain(chain))
        if kind == "metric":
            # A column begins with the metric's name, which holds no dot, unlike parameters and names of values.
            columns = (column.partition(".")[0] for column, value in row.items() if "." in column and value)
            return any(base_name(column) == name for column in columns)
        if kind in ("dataset", "victim"):
            return base(row[kind]) == name and row["poisoner"] == CLEAN
        if kind == "surrogate":
            return row["surrogate"] != "none" and base(row["surrogate"]) == name
        if kind == "labeling":
            return name != "original" and base(row["labeling"]) == name
        return False

    return wanted


def figures(rows: Iterable[Row]) -> list[Figure]:
    """Means over craft seeds (train seeds of clean rows) of rows that share :data:`GROUP`, in the order they come."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in GROUP), []).append(row)
    return [
        Figure(
            {name: members[0][name] for name in GROUP},
            frozenset(row["cell"] for row in members),
            *(_by_seed(members, column) for column in _MEASURED),
        )
        for members in groups.values()
    ]


def _by_seed(rows: Iterable[Row], column: str) -> list[float]:
    """One value per craft seed (train seed of clean rows): the mean over trainings on one release."""
    units: dict[str, list[float]] = {}
    for row in rows:
        if row.get(column):
            units.setdefault(row["craft_seed"] or row["train_seed"], []).append(float(row[column]))
    return [statistics.fmean(values) for values in units.values()]


def craft_seconds(poisoner: str) -> list[float]:
    """Mean seconds of crafting of every group of rows of a poisoner that was crafted."""
    found = [
        figure.craft_seconds
        for _, rows in results()
        for figure in figures(filter(measures("poisoner", poisoner), rows))
    ]
    return [statistics.fmean(seconds) for seconds in found if any(seconds)]


def section(kind: str, name: str, page_of: Callable[[Path], str]) -> str:
    """The measured figures of a component as Markdown, a table for each results file; empty if there are none.

    Args:
        page_of: returns the link target of the page about the results of a folder, or an empty text.
    """
    parts = []
    for path, rows in results():
        wanted = list(filter(measures(kind, name), rows))
        if found := figures(wanted):
            texts = (f"### {_title(path)}", _shared(found, page_of(path)), earlier(path, wanted), _table(found))
            parts += filter(None, texts)
    return "\n\n".join(parts)


def earlier(path: Path, rows: Iterable[Row]) -> str:
    """Which components of these rows have a later version here than in the records; empty if none."""
    found = (_record(ROOT / path.parent / "records" / f"{row['cell']}.json") for row in rows)
    return superseded(stated_versions(filter(None, found)))


def superseded(versions: Mapping[tuple[str, str], Iterable[int]]) -> str:
    """Which of these components, by kind and name, have a later version here; empty if none."""
    now = {(spec.kind, spec.name): spec.version for kind, _ in versions for spec in installed().specs(kind)}
    then = [
        f"{code(name)} version {version} (now {now[kind, name]})"
        for (kind, name), stated in sorted(versions.items())
        for version in sorted(stated)
        if now.get((kind, name), version) != version
    ]
    return f"Measured with {', '.join(then)}." if then else ""


@functools.cache
def _record(path: Path) -> Mapping[str, Any] | None:
    """What a record states of its components, and whether it finished; None without the record."""
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return {name: record[name] for name in ("components", "status")}


def undefended(poisoner: str) -> str:
    """One table of the rows of a poisoner without defense, under the original labels, on real test sets.

    Rows whose gate was not passed are counted below it; what several boards have is one row. A sentence after the
    table names components that have a later version now.
    """
    notes: dict[str, str] = {}
    boards: dict[frozenset[str], tuple[Figure, list[str]]] = {}
    others: set[frozenset[str]] = set()
    for path, rows in results():
        wanted = [
            row
            for row in rows
            if measures("poisoner", poisoner)(row)
            and (row["defense"], row["labeling"], row["mixture"], row["trusted"]) == ("none", "original", "1", "0")
            and "validation=" not in row["dataset"]
        ]
        passed = [row for row in wanted if row["gate"] == "passed"]
        if note := earlier(path, passed):
            notes[_title(path)] = note
        for figure in figures(passed):
            boards.setdefault(figure.cells, (figure, []))[1].append(_title(path))
        others.update(figure.cells for figure in figures(row for row in wanted if row["gate"] != "passed"))
    lines = [
        [
            code(_value(figure.shared, "dataset")),
            code(_value(figure.shared, "budget")) or "unbounded",
            *(str(len(figure.accuracy)), _mean(figure.clean), _accuracy(figure.accuracy)),
            _as_run(figure.shared),
            ", ".join(titles),
        ]
        for figure, titles in boards.values()
    ]
    header = ["data", "budget", "n", "clean %", "test accuracy %", "as run", "records"]
    parts = [table(header, lines), *(f"{title}: {note}" for title, note in notes.items())] if lines else []
    if left_out := len(others - set(boards)):
        rest = f"{left_out} {'further ' if lines else ''}{'row' if left_out == 1 else 'rows'}"
        parts.append(f"{rest} whose gate was not passed: on [its page](methods/poisoner-{poisoner}.md#measured).")
    return "\n\n".join(parts)


class Defended(NamedTuple):
    """A poisoner on a board, as a request names it, without a defense and with it.

    Accuracies are in words; ``clean`` is of clean images with the defense.
    """

    poisoner: str
    plain: str
    defended: str
    clean: str
    crafts: int


def defended(defense: str, poisoner: str) -> list[Defended]:
    """What boards of CIFAR-10 have of a poisoner under a defense, at 8/255, where the gate was passed without it."""
    found = {}
    for _, rows in results():
        wanted = [
            row
            for row in rows
            if measures("poisoner", poisoner)(row)
            and base(row["dataset"]) == "cifar10"
            and row["defense"] in ("none", defense)
            and (row["norm"], row["epsilon"], row["labeling"], row["gate"]) == ("linf", "8", "original", "passed")
            and row["craft_labels"] in AXIS["craft_labels"].unremarkable
        ]
        groups = figures(wanted)
        plain = {_without_defense(each.shared): each for each in groups if each.shared["defense"] == "none"}
        for each in groups:
            if each.shared["defense"] == defense and (beside := plain.get(_without_defense(each.shared))):
                name = poisoner_of(each.shared)
                texts = (_accuracy(beside.accuracy), _accuracy(each.accuracy), _mean(each.clean))
                # Boards share cells, each of which is shown once.
                found.setdefault(each.cells, Defended(name, *texts, len(each.accuracy)))
    return list(found.values())


def _without_defense(shared: Row) -> tuple[str, ...]:
    return tuple(value for name, value in shared.items() if name != "defense")


def regimes() -> str:
    """All training regimes, from clean rows without defense: a line per data set, trusted images, victim and epochs."""
    clean: dict[tuple[str, ...], dict[str, Row]] = {}
    for _, rows in results():
        for row in rows:
            if row["poisoner"] == CLEAN and (row["defense"], row["labeling"]) == ("none", "original"):
                data = _value(row, "dataset")
                if "validation=" not in data:
                    # Boards share cells, each of which counts once.
                    regime = (data, row["trusted"], row["victim"], row["epochs"])
                    clean.setdefault(regime, {})[row["cell"]] = row
    lines = [
        [code(data), trusted, code(victim), epochs, _mean([float(row["test_accuracy"]) for row in members.values()])]
        for (data, trusted, victim, epochs), members in sorted(clean.items())
    ]
    return table(["data", "trusted images", "victim", "epochs", "clean accuracy %"], lines)


def _as_run(shared: Row) -> str:
    """Poisoner, surrogate, craft labels and victim, in words."""
    parts = [code(poisoner_of(shared))]
    if shared["surrogate"] != "none":
        parts.append(f"surrogate {code(shared['surrogate'])}")
    if shared["craft_labels"] not in AXIS["craft_labels"].unremarkable:
        parts.append(f"labels {code(shared['craft_labels'])}")
    return ", ".join([*parts, f"on {code(shared['victim'])}"])


def _title(path: Path) -> str:
    return " / ".join(path.parent.relative_to("leaderboards").parts)


#: Columns of a table beside the accuracies, with headings; a sentence gives those that are equal in all lines.
_SHOWN = {
    name: {"dataset": "data", "budget": "budget", "gate": "gate"}.get(name) or column(name).heading
    for name in ("dataset", *ENTRY, "labeling", "defense", "victim", "budget", "mixture", "trusted", "gate")
}
#: Default values, which the sentence omits.
_USUAL = {
    "preset": "standard", "surrogate": "none", "craft_labels": "none", "labeling": "original", "defense": "none",
    "mixture": "1", "trusted": "0",
}  # fmt: skip


def _shared(found: list[Figure], page: str) -> str:
    same = {name: values for name, values in _columns(found).items() if len(set(values)) == 1}
    unusual = {name: values[0] for name, values in same.items() if values[0] not in ("", _USUAL.get(name))}
    words = [f"{_SHOWN[name]} {code(value)}" for name, value in unusual.items()]
    sentence = f"{'; '.join(words)}." if words else ""
    return f"{sentence[:1].upper()}{sentence[1:]}" + (f" [How it was run]({page})." if page else "")


def _table(found: list[Figure]) -> str:
    columns = {name: values for name, values in _columns(found).items() if len(set(values)) > 1}
    measured = {"n": [str(len(f.accuracy)) for f in found], "test accuracy %": [_accuracy(f.accuracy) for f in found]}
    if any(figure.shared["poisoner"] not in ADDED_REFERENCES for figure in found):
        measured |= {"clean %": [_mean(f.clean) for f in found], "sham %": [_mean(f.sham) for f in found]}
        measured["crafting s"] = [_mean(f.craft_seconds, 0) if any(f.craft_seconds) else "" for f in found]
    shown = {name: values for name, values in measured.items() if any(values)}
    lines = [
        [*(code(values[place]) for values in columns.values()), *(values[place] for values in shown.values())]
        for place in range(len(found))
    ]
    return table([*(_SHOWN[name] for name in columns), *shown], lines)


def _columns(found: list[Figure]) -> dict[str, list[str]]:
    return {name: [_value(figure.shared, name) for figure in found] for name in _SHOWN}


def _value(shared: Row, name: str) -> str:
    if name == "budget":
        return "" if shared["norm"] == "unbounded" else f"{shared['norm']} {shared['epsilon']}"
    # The path of a data set is not part of the result.
    return (
        re.sub(r"(parquet|imagefolder|csv|webdataset):[^:,]*/", r"\1:", shared[name])
        if name == "dataset"
        else shared[name]
    )


def _accuracy(values: list[float]) -> str:
    """A mean with the half-width of its interval, or with both values for two seeds, whose interval is too wide."""
    return t_interval(values).text().replace(" ", "\N{NO-BREAK SPACE}")


def _mean(values: list[float], decimals: int = 1) -> str:
    # As boards compute and round it, so that a mean half-way between two digits is the same everywhere.
    return f"{t_interval(values).mean:.{decimals}f}" if values else ""
