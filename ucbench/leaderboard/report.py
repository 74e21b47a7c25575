"""A report of results: one page without external files, from records and image sheets alone."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pandas as pd

import ucbench
from ucbench.errors import visible
from ucbench.leaderboard.board import judged_in
from ucbench.leaderboard.check import environments
from ucbench.leaderboard.entries import Leaderboard
from ucbench.leaderboard.forest import forest, settings
from ucbench.leaderboard.forest_scene import forest_scene
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.layout import sections
from ucbench.leaderboard.legend import legend
from ucbench.leaderboard.marks import Mark, marks
from ucbench.leaderboard.problems import record_title
from ucbench.leaderboard.rerun import companions, rerun
from ucbench.leaderboard.scene import mark_svg
from ucbench.leaderboard.sheets import sheets_of
from ucbench.matrix.names import entry_text
from ucbench.matrix.suite import Suite
from ucbench.plugins.builtin import ADDED_REFERENCES
from ucbench.plugins.grammar import base_name
from ucbench.results.axis_columns import budget_text
from ucbench.results.gate import Gate
from ucbench.results.records import Record, failure_text
from ucbench.results.statistics import ENOUGH_CRAFTS
from ucbench.results.table import several_worlds
from ucbench.results.text import fitted
from ucbench.results.view import view
from ucbench.store.untrusted import read_regular

#: A page with this policy requests nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SEEDS = re.compile(r" --(craft-|train-)?seed \d+\b")


def report(folder: Path, suite: Suite | None = None) -> str:
    """The report of a run's ``--out`` or a leaderboard's folder as HTML; the same files give the same text.

    Args:
        suite: the suite of a leaderboard, for the ranked tables and the gate.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    records, table, gates = found = judged_in(folder, suite.file.gate if suite else RULES)
    looks = marks(table["base"])
    title = suite.title if suite else f"Results in {folder.resolve().name}"
    failed = sum(record["status"] != "ok" for record in records)
    mixed = several_worlds(table)
    board = found.leaderboard(suite.file.ranking.defenses) if suite and not mixed else None
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="quiet">{len(records)} cells, {failed} failed. Written by ucbench {_text(ucbench.__version__)}.</p>',
        *_warnings(records, table),
        *([f'<p class="warning">No figures and no ranking: {_text(mixed)}</p>'] if mixed else []),
        *([] if mixed else _figures(table, board, gates)),
        *_tables(table, board, looks),
        *_sheets(records, folder),
        *_commands(records, suite),
        *_machines(records),
    ]
    style = resources("ucbench.leaderboard").joinpath("report.css").read_text(encoding="utf-8")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{_text(title)}</title>'
        f"<style>{style}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _text(value: object) -> str:
    """Names are arbitrary text: escaped, without characters that hide some."""
    return escape(visible(str(value)))


def _prose(text: str) -> str:
    """Escaped text whose names in backquotes are code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", _text(text))


def _warnings(records: Sequence[Record], table: pd.DataFrame) -> Iterator[str]:
    """Failed cells with their errors, and few crafts."""
    for record in records:
        if record["status"] != "ok":
            yield f'<p class="warning">Failed: {_text(record_title(record))}: {_text(failure_text(record))}</p>'
    crafts = table["craft_seed"].nunique()
    if 0 < crafts < ENOUGH_CRAFTS:
        seeds = "One craft seed" if crafts == 1 else f"{crafts} craft seeds"
        yield f'<p class="warning">{seeds}, fewer than {ENOUGH_CRAFTS}: exploratory.</p>'


def _figures(table: pd.DataFrame, board: Leaderboard | None, verdicts: Sequence[Gate]) -> Iterator[str]:
    """The forest plot of every setting; the first with poisoners of other budgets."""
    listed = settings(table)
    if not listed:
        return
    yield "<h2>Accuracy of the exploiter</h2>"
    shown: set[tuple[Any, ...]] = set()
    for place, setting in enumerate(listed):
        drawn = forest(table, setting if place else None, board=board.blocks if board else (), verdicts=verdicts)
        shown |= {row.key for row in drawn.groups.get("Other budgets", ())}
        if place and {row.key for row in drawn.rows} <= shown:
            continue  # in the first figure
        yield f'<div class="wide">{forest_scene(drawn).svg(inline=True)}</div>'


def _tables(table: pd.DataFrame, board: Leaderboard | None, looks: Mapping[str, Mark]) -> Iterator[str]:
    if board is not None:
        yield "<h2>Leaderboard</h2>"
        for section in sections(board):
            yield f"<h3>{_text(section.heading)}</h3><p>{_prose(section.note)}</p>"
            yield _table(section.headers, [section.row(line) for line in section.lines], looks)
        yield f'<ul class="quiet">{"".join(f"<li>{_text(item)}</li>" for item in legend(board))}</ul>'
    summary = view(table)
    yield "<h2>Means over seeds</h2>"
    columns, _ = fitted(summary.columns, None)
    lines = zip(*(column.cells for column in columns), strict=True)
    yield _table([column.title for column in columns], list(lines), looks)
    # The gates are in the notes; a suite may state other rules, by which the leaderboard is judged.
    shown = [note for note in summary.notes if board is None or not note.startswith("Gate")]
    yield from (f'<p class="quiet">{_prose(note)}</p>' for note in shown)


def _table(titles: Sequence[str], lines: Iterable[Sequence[str]], looks: Mapping[str, Mark]) -> str:
    heads = "".join(f'<th scope="col">{_text(title)}</th>' for title in titles)
    body = "".join(
        f"<tr>{''.join(_cell(title, text, looks) for title, text in zip(titles, line, strict=True))}</tr>"
        for line in lines
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(title: str, text: str, looks: Mapping[str, Mark]) -> str:
    mark = looks.get(base_name(text.partition(" ")[0])) if title == "poisoner" else None
    return f"<td>{mark_svg(mark) if mark else ''}{_text(text)}</td>"


def _sheets(records: Sequence[Record], folder: Path) -> Iterator[str]:
    """The image sheet of the first craft of every poisoner and budget."""
    sheets, first = sheets_of(records, folder / "sheets"), dict[tuple[str, ...], tuple[int, Path]]()
    for record in records:
        if record["cell"] not in sheets:
            continue
        request = record["request"]
        what = (entry_text(request, stating=["craft_labels"]), budget_text(request), str(request["dataset"]))
        candidate = (int(request["craft_seed"] or 0), sheets[record["cell"]].path)
        first[what] = min(first.get(what, candidate), candidate)
    if first:
        yield "<h2>Images</h2>"
    for (poisoner, budget, dataset), (seed, path) in sorted(first.items()):
        data = base64.b64encode(read_regular(path)).decode()
        text = _text(f"{poisoner} on {dataset}, {budget}, craft seed {seed}")
        yield (
            f'<figure><img src="data:image/png;base64,{data}" alt="Original, perturbation and release: {text}">'
            f'<figcaption class="quiet">{text}</figcaption></figure>'
        )


def _commands(records: Sequence[Record], suite: Suite | None) -> Iterator[str]:
    """Commands that compute the cells again; clean and sham rows come with those of the poisoners."""
    of_sham = companions(records)
    pairs: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for record in sorted(records, key=lambda record: str(record["request"]["poisoner"])):
        request = record["request"]
        command = None if request["poisoner"] in ADDED_REFERENCES else rerun(record, of_sham)
        if command:
            pairs[_SEEDS.sub("", command)].add((request["craft_seed"], request["train_seed"]))
    lines = [f"{command} {seeds}" for command, of_command in pairs.items() for seeds in _seeds(of_command)]
    if suite:
        lines = [f"ucbench run --suite {suite.file.name} --out results", "# or one poisoner at a time:", *lines]
    if lines:
        yield f"<h2>Commands</h2><pre>{_lines(lines)}</pre>"


def _seeds(pairs: set[tuple[int, int]]) -> list[str]:
    """The options of craft and train seeds: one text where trainings are nested in crafts, else one per craft."""
    trains: dict[int, list[int]] = defaultdict(list)
    for craft, train in sorted(pairs):
        trains[craft].append(train)
    count = len(next(iter(trains.values())))
    if all(trainings == list(range(count * craft, count * craft + count)) for craft, trainings in trains.items()):
        return [f"--seed {_listed(trains)}" + (f" --trainings {count}" if count > 1 else "")]
    return [f"--craft-seed {craft} --train-seed {_listed(trainings)}" for craft, trainings in trains.items()]


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(_text, lines))


def _machines(records: Sequence[Record]) -> Iterator[str]:
    """Numerics, data, machines and versions, each value with its number of records where there are several."""
    numerics: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in records:
        for name, value in record["numerics"].items():
            numerics[name][str(value)] += 1
        for part in record["components"].values():
            numerics[f"distribution {part['distribution']}"][str(part["distribution_version"])] += 1
    values: dict[str, Mapping[str, int]] = {**numerics, **environments(records)}
    lines = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td class="wrap">{_text(_values_text(counts))}</td></tr>'
        for name, counts in values.items()
    )
    yield f'<h2>Machines and versions</h2><div class="wide"><table><tbody>{lines}</tbody></table></div>'


def _values_text(counts: Mapping[Any, int]) -> str:
    if len(counts) == 1:
        return str(next(iter(counts)))
    return "; ".join(f"{value} ({count} records)" for value, count in sorted(counts.items()))
