"""Leaderboards: what a suite's records say of each poisoner, as a CSV and as a table to read.

Everything is derived from the records beside it, byte for byte.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ucbench.data.budget import Budget
from ucbench.errors import DataError
from ucbench.leaderboard.ranking import WorstCase, accuracies_of, effect, ranks, worst_case
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, POSITIVE, SHAM, SHUFFLED
from ucbench.results import Gate, Row, gates, grouped_by, rows, to_csv
from ucbench.results.records import Record, read_records
from ucbench.results.statistics import Interval, interval
from ucbench.store.files import atomic_write_text

#: What makes rows comparable: they rank only among those that share all of these.
BLOCK = ("dataset", "labeling", "victim", "norm", "epsilon", "mixture", "trusted", "label_access")
#: What makes an entry.
ENTRY = ("poisoner", "preset", "surrogate", "craft_labels")
COLUMNS = (
    *BLOCK, "rank", *ENTRY, "seeds", "exploratory", "no_defense", "no_defense_half",
    "mean_over_defenses", "worst", "worst_half", "worst_defense", "effect", "effect_half", "clean_worst", "missing",
)  # fmt: skip
#: Fewer craft seeds than these are exploratory.
ENOUGH_SEEDS = 4


@dataclass(frozen=True)
class Entry:
    """One poisoner in one block; percent, ``effect`` a fraction.

    Attributes:
        block: the values of :data:`BLOCK`.
        name: the values of :data:`ENTRY`.
        rank: None for references, oracles, and where a ranked defense is missing.
        seeds: craft seeds that every ranked defense has; of the undefended rows where one is missing.
        undefended: accuracy without defense.
        mean: accuracy over the ranked defenses that there are.
        worst: the highest an exploiter reaches; None where a ranked defense is missing.
        defense: by which defense.
        effect: what is gone of the gap between clean accuracy and chance.
        clean: the highest an exploiter reaches on clean pictures.
        missing: ranked defenses without complete rows.
    """

    block: tuple[Any, ...]
    name: tuple[Any, ...]
    rank: int | None
    seeds: int
    undefended: Interval
    mean: float | None
    worst: Interval | None
    defense: str
    effect: Interval | None
    clean: float | None
    missing: tuple[str, ...]


def entries(table: Sequence[Row], defenses: Sequence[str], oracles: Iterable[str] = ()) -> list[Entry]:
    """The leaderboard's entries, block by block, the best protected first.

    Args:
        table: rows of :func:`ucbench.results.rows`.
        defenses: the suite's ranked defenses, as its rows write them.
        oracles: poisoners that are shown and not ranked, besides the references.
    """
    unranked = {CLEAN, SHAM, POSITIVE, SHUFFLED, *oracles}
    done = [row for row in table if row["status"] == "ok" and row["test_accuracy"] is not None]
    clean = {
        key: accuracies_of(members)
        for key, members in grouped_by([row for row in done if row["poisoner"] == CLEAN], EXPLOITER).items()
    }
    found = []
    for block, members in grouped_by([row for row in done if row["poisoner"] != CLEAN], BLOCK).items():
        reference = worst_case(clean.get(tuple(members[0][name] for name in EXPLOITER), {}), defenses)
        grouped = grouped_by(members, ENTRY)
        cases = {name: worst_case(accuracies_of(own), defenses) for name, own in grouped.items()}
        ranked = {str(n): c for n, c in cases.items() if c is not None and _base(n[0]) not in unranked}
        places = ranks(ranked)
        block_entries = [
            _entry(block, name, grouped[name], case, reference, defenses, places.get(str(name)))
            for name, case in cases.items()
        ]
        found += sorted(block_entries, key=_order)
    return found


#: What a block shares with its clean rows, which know neither budget nor labels.
EXPLOITER = ("dataset", "labeling", "victim", "trusted")


def _entry(
    block: tuple[Any, ...],
    name: tuple[Any, ...],
    members: Sequence[Row],
    case: WorstCase | None,
    clean: WorstCase | None,
    defenses: Sequence[str],
    rank: int | None,
) -> Entry:
    accuracies = accuracies_of(members)
    undefended = list(accuracies.get(NO_DEFENSE, {}).values())
    present = [value for defense in defenses for value in accuracies.get(defense, {}).values()]
    chance = members[0]["chance"] or 0.0
    return Entry(
        block,
        name,
        rank,
        len(case.by_seed) if case else len(undefended),
        interval(undefended),
        statistics.fmean(present) if present else None,
        case.accuracy if case else None,
        " or ".join(case.defenses) if case else "",
        effect(clean, case, chance) if case and clean else None,
        clean.accuracy.mean if clean else None,
        () if case else tuple(defense for defense in defenses if not accuracies.get(defense)),
    )


def _base(poisoner: str) -> str:
    return poisoner.partition(":")[0]


def _order(entry: Entry) -> tuple[Any, ...]:
    worst = entry.worst.mean if entry.worst else math.inf
    return (entry.rank is None, entry.rank or 0, worst, str(entry.name))


def to_leaderboard_csv(found: Sequence[Entry]) -> str:
    """The entries as CSV with :data:`COLUMNS`, numbers in a fixed format."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in found:
        writer.writerow(_line(entry))
    return stream.getvalue()


def _line(entry: Entry) -> list[str]:
    def percent(value: float | None) -> str:
        return "" if value is None or math.isnan(value) else f"{value:.2f}"

    worst, gone = entry.worst, entry.effect
    return [
        *("" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in entry.block),
        "" if entry.rank is None else str(entry.rank),
        *map(str, entry.name),
        str(entry.seeds),
        "yes" if entry.seeds < ENOUGH_SEEDS else "no",
        percent(entry.undefended.mean),
        percent(entry.undefended.half),
        percent(entry.mean),
        percent(worst.mean if worst else None),
        percent(worst.half if worst else None),
        entry.defense,
        "" if gone is None or math.isnan(gone.mean) else f"{gone.mean:.4f}",
        "" if gone is None or math.isnan(gone.half) else f"{gone.half:.4f}",
        percent(entry.clean),
        "+".join(entry.missing),
    ]


def to_markdown(found: Sequence[Entry], title: str, verdicts: Iterable[Gate] = ()) -> str:
    """The entries as tables to read, one a block, under ``title``, with what the gate said of each."""
    judged = [gate for gate in verdicts if gate.shared["defense"] == NO_DEFENSE]
    parts = [f"# {title}", "", _LEGEND, ""]
    for block in dict.fromkeys(entry.block for entry in found):
        values = dict(zip(BLOCK, block, strict=True))
        mixture, trusted, access = values["mixture"], values["trusted"], values["label_access"]
        budget = Budget(values["norm"], values["epsilon"])
        parts += [
            f"## {values['dataset']}, {budget}, {values['victim']}, labels: {values['labeling']}",
            "",
            f"Mixture {mixture:g}, {trusted} trusted images, label access {access}.",
            "",
            *(
                f"Gate (`{gate.shared['poisoner']}`): {gate.text}\n"
                for gate in judged
                if all(gate.shared[name] == values[name] for name in BLOCK if name != "label_access")
            ),
            "| rank | poisoner | told | worst case % | effect % | no defense % | best defense | seeds |",
            "|---|---|---|---|---|---|---|---|",
            *(_markdown_row(entry) for entry in found if entry.block == block),
            "",
        ]
    return "\n".join(parts)


_LEGEND = (
    "Worst case: the highest accuracy an exploiter reaches over the ranked defenses, each chosen on half of the craft"
    " seeds and scored on the other; where seeds differ more than defenses, that can be less than without any."
    " Effect: the share of the gap between clean accuracy under the best defense and chance that is gone. Mean and"
    " half-width of the 95 % interval over craft seeds; fewer than four seeds (*) are exploratory. References, oracles,"
    " and poisoners without all ranked defenses have no rank."
)


#: Defenses not run that a table names; more would be its widest column, and are named in leaderboard.csv.
_FEW = 2


def not_run(entry: Entry) -> str:
    """What stands in the place of a worst case that there is not, else nothing; names where these are few."""
    few = len(entry.missing) <= _FEW
    missing = ", ".join(entry.missing) if few else f"{len(entry.missing)} defenses"
    return f"not run: {missing}" if missing else ""


def _markdown_row(entry: Entry) -> str:
    poisoner, preset, surrogate, told = entry.name
    name = (
        f"`{_escaped(poisoner)}`"
        + ("" if preset == "standard" else f" @{preset}")
        + ("" if surrogate == "none" else f" ({_escaped(surrogate)})")
    )
    cells = [
        "" if entry.rank is None else str(entry.rank),
        name,
        _escaped(told),
        not_run(entry) or _shown(entry.worst, 1),
        _shown(entry.effect, 100),
        _shown(entry.undefended, 1),
        _escaped(entry.defense),
        f"{entry.seeds}{'*' if entry.seeds < ENOUGH_SEEDS else ''}",
    ]
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that ends no cell of a Markdown table, wherever it came from."""
    return " ".join(text.split()).replace("|", "\\|")


def _shown(value: Interval | None, factor: float) -> str:
    if value is None or math.isnan(value.mean):
        return ""
    text = f"{factor * value.mean:.1f}"
    return text if math.isnan(value.half) else f"{text} ± {factor * value.half:.1f}"


def files(records: Sequence[Record], defenses: Sequence[str], title: str) -> Mapping[str, str]:
    """What a leaderboard's folder holds beside its records, by file name."""
    found = entries_of(records, defenses)
    return {
        "results.csv": to_csv(rows(records)),
        "leaderboard.csv": to_leaderboard_csv(found),
        "README.md": to_markdown(found, title, gates(rows(records))),
    }


def entries_of(records: Sequence[Record], defenses: Sequence[str]) -> list[Entry]:
    """The entries that these records make, with the worst case over ``defenses``."""
    oracles = {_base(record["request"]["poisoner"]) for record in records if record["oracle"]}
    return entries(rows(records), defenses, oracles)


def entries_in(folder: Path, defenses: Sequence[str]) -> list[Entry]:
    """As :func:`entries_of`, of the records in ``folder``.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    return entries_of(records_in(folder), defenses)


def build(folder: Path, defenses: Sequence[str], title: str) -> list[Path]:
    """Write the files of a leaderboard beside the records in ``folder``; the paths written.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    paths = []
    for name, text in files(records_in(folder), defenses, title).items():
        atomic_write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def differences(folder: Path, defenses: Sequence[str], title: str) -> list[str]:
    """Names of a leaderboard's files that do not follow byte for byte from the records beside them.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    return [
        name
        for name, text in files(records_in(folder), defenses, title).items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def records_in(folder: Path) -> list[Record]:
    """The records in ``folder``.

    Raises:
        DataError: if there are none, or one cannot be read.
    """
    found = list(read_records(folder))
    if not found:
        raise DataError(f"There are no records in {folder / 'records'}.")
    return found
