"""The files of a leaderboard: results.csv, leaderboard.csv and README.md.

All follow byte for byte from the records beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ucbench.leaderboard.entries import ENOUGH_SEEDS, Entry, entries
from ucbench.leaderboard.layout import HEADERS, LEGEND, Line, sections
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.columns import BOARD
from ucbench.results.gate import Gate, gates
from ucbench.results.records import Record, records_in
from ucbench.results.statistics import Interval
from ucbench.results.table import csv_text, rows, to_csv
from ucbench.store.files import atomic_write_text


def board_table(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per entry, with the columns :data:`ucbench.results.columns.BOARD`."""
    table = pd.DataFrame(map(_values, entries), columns=[column.name for column in BOARD], dtype=object)
    return table.astype({column.name: column.dtype for column in BOARD})


def to_leaderboard_csv(entries: Iterable[Entry]) -> str:
    """The entries as CSV with the columns :data:`ucbench.results.columns.BOARD`."""
    return csv_text(board_table(entries), BOARD)


def _values(entry: Entry) -> tuple[Any, ...]:
    missing = Interval(math.nan, math.nan, 0)
    worst, effect = entry.worst or missing, entry.effect or missing
    return (
        *entry.block, entry.rank, *entry.name, entry.seeds, "yes" if entry.seeds < ENOUGH_SEEDS else "no",
        entry.undefended.mean, entry.undefended.half, entry.mean, worst.mean, worst.half, entry.defense,
        effect.mean, effect.half, entry.clean, "+".join(entry.missing),
    )  # fmt: skip


def to_markdown(entries: Sequence[Entry], title: str, gates: Iterable[Gate] = ()) -> str:
    """The entries under ``title`` as one table per block, each with the verdict of its gate."""
    undefended = [gate for gate in gates if gate.shared["defense"] == NO_DEFENSE]
    parts = [f"# {title}", "", LEGEND, ""]
    for section in sections(entries):
        parts += [
            f"## {section.heading}",
            "",
            section.setting,
            "",
            *(
                f"Gate (`{gate.shared['poisoner']}`): {gate.text}\n"
                for gate in undefended
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
    """Text that cannot end a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def files(records: Sequence[Record], defenses: Sequence[str], title: str) -> Mapping[str, str]:
    """The files of a leaderboard's folder beside its records, by name."""
    table = rows(records)
    board = entries(table, defenses)
    return {
        "results.csv": to_csv(table),
        "leaderboard.csv": to_leaderboard_csv(board),
        "README.md": to_markdown(board, title, gates(table)),
    }


def entries_in(folder: Path, defenses: Sequence[str]) -> list[Entry]:
    """The entries of the records in ``folder``.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    return entries(rows(records_in(folder)), defenses)


def build(folder: Path, defenses: Sequence[str], title: str) -> list[Path]:
    """Write the files of a leaderboard beside the records in ``folder``; returns their paths.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    paths = []
    for name, text in files(records_in(folder), defenses, title).items():
        atomic_write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def differences(folder: Path, defenses: Sequence[str], title: str) -> list[str]:
    """Names of the files of a leaderboard that do not follow byte for byte from the records beside them.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    return [
        name
        for name, text in files(records_in(folder), defenses, title).items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]
