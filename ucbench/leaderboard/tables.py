"""Leaderboards: what a suite's records say of each poisoner, as a CSV and as a table to read.

Everything is derived from the records beside it, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ucbench.leaderboard.entries import ENOUGH_SEEDS, Entry, entries
from ucbench.leaderboard.layout import HEADERS, LEGEND, Line, sections
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.columns import BOARD, csv_text
from ucbench.results.gate import Gate, gates
from ucbench.results.records import Record, records_in
from ucbench.results.statistics import Interval
from ucbench.results.table import rows, to_csv
from ucbench.store.files import atomic_write_text


def to_leaderboard_csv(found: Iterable[Entry]) -> str:
    """The entries as CSV with the columns :data:`ucbench.results.columns.BOARD`."""
    return csv_text(BOARD, map(_values, found))


def _values(entry: Entry) -> tuple[Any, ...]:
    none = Interval(math.nan, math.nan, 0)
    worst, gone = entry.worst or none, entry.effect or none
    return (
        *entry.block, entry.rank, *entry.name, entry.seeds, "yes" if entry.seeds < ENOUGH_SEEDS else "no",
        entry.undefended.mean, entry.undefended.half, entry.mean, worst.mean, worst.half, entry.defense,
        gone.mean, gone.half, entry.clean, "+".join(entry.missing),
    )  # fmt: skip


def to_markdown(found: Sequence[Entry], title: str, verdicts: Iterable[Gate] = ()) -> str:
    """The entries as tables to read, one for each block, under ``title``, with what the gate said of each."""
    judged = [gate for gate in verdicts if gate.shared["defense"] == NO_DEFENSE]
    parts = [f"# {title}", "", LEGEND, ""]
    for section in sections(found):
        parts += [
            f"## {section.heading}",
            "",
            section.setting,
            "",
            *(
                f"Gate (`{gate.shared['poisoner']}`): {gate.text}\n"
                for gate in judged
                if all(gate.shared[name] == value for name, value in section.block.items() if name != "label_access")
            ),
            f"| {' | '.join(HEADERS)} |",
            f"|{'---|' * len(HEADERS)}",
            *(f"| {' | '.join(_cells(line))} |" for line in section.lines),
            "",
        ]
    return "\n".join(parts)


def _cells(line: Line) -> list[str]:
    texts = [_escaped(text) for text in line.texts]
    reference = _escaped(line.reference)
    texts[1] = f"`{reference}`{texts[1].removeprefix(reference)}"
    return texts


def _escaped(text: str) -> str:
    """Text that ends no cell of a Markdown table, wherever it came from."""
    return " ".join(text.split()).replace("|", "\\|")


def files(records: Sequence[Record], defenses: Sequence[str], title: str) -> Mapping[str, str]:
    """What a leaderboard's folder holds beside its records, by file name."""
    table = rows(records)
    found = entries(table, defenses)
    return {
        "results.csv": to_csv(table),
        "leaderboard.csv": to_leaderboard_csv(found),
        "README.md": to_markdown(found, title, gates(table)),
    }


def entries_in(folder: Path, defenses: Sequence[str]) -> list[Entry]:
    """As :func:`entries`, of the records in ``folder``.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    return entries(rows(records_in(folder)), defenses)


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
