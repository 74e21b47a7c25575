"""The files of a leaderboard: results.csv, leaderboard.csv, README.md and accuracy.svg, its figure.

All follow byte for byte from the records beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ucbench.leaderboard.board import judged
from ucbench.leaderboard.entries import Block, Entry, Leaderboard
from ucbench.leaderboard.forest import forest, settings
from ucbench.leaderboard.forest_scene import forest_scene
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.layout import Line, Section, markdown_cell, markdown_table, sections
from ucbench.leaderboard.legend import figure_sentence, gate_sentence, legend
from ucbench.matrix.suite import GateRules
from ucbench.results.columns import BLOCK, BOARD, ENTRY, SETTING, values_of
from ucbench.results.records import Record, records_in
from ucbench.results.statistics import ENOUGH_CRAFTS, Interval
from ucbench.results.table import csv_text, to_csv
from ucbench.store.files import atomic_write_text
from ucbench.store.untrusted import read_regular

#: The name of the figure's file.
FIGURE = "accuracy.svg"


def to_leaderboard_csv(blocks: Iterable[Block]) -> str:
    """The entries as CSV, one row each, with the columns :data:`ucbench.results.columns.BOARD`."""
    lines = [_values(block, entry) for block in blocks for entry in block.entries]
    table = pd.DataFrame(lines, columns=[column.name for column in BOARD], dtype=object)
    return csv_text(table.astype({column.name: column.dtype for column in BOARD}), BOARD)


def _values(block: Block, entry: Entry) -> tuple[Any, ...]:
    missing = Interval(math.nan, math.nan, 0)
    worst, effect = entry.worst or missing, entry.effect or missing
    accuracy, spread = entry.undefended.interval, entry.undefended
    return (
        *values_of(block.values, BLOCK), block.gate.state, entry.rank, *values_of(entry.values, ENTRY), entry.seeds,
        spread.trainings_text, "yes" if entry.seeds < ENOUGH_CRAFTS else "no", accuracy.mean, accuracy.half,
        spread.craft_sd, spread.training_sd, entry.guess, entry.purity, entry.mean, worst.mean, worst.half, entry.bias,
        entry.defense, effect.mean, effect.half, entry.clean, "+".join(entry.missing),
    )  # fmt: skip


def to_markdown(leaderboard: Leaderboard, title: str, figure: str = "") -> str:
    """The leaderboard under ``title`` as one table per block, below the file ``figure`` if there is one.

    What the figure shows and what the gate allows stand above the tables, the meanings of their terms below.
    """
    blocks = leaderboard.blocks
    parts = [f"# {title}", "", *([f"![{_figure_text(blocks)}]({figure})", ""] if figure else [])]
    shown = [figure_sentence(blocks)] if figure else []
    parts += [" ".join([*shown, gate_sentence(blocks)]), ""]
    judged: tuple[Any, ...] = ()
    for section in sections(leaderboard):
        setting = values_of(section.block, SETTING)
        verdict = "Gate: as above." if setting == judged else section.verdict
        judged = setting
        parts += [
            f"## {section.heading}",
            "",
            replace(section, verdict=verdict).note,
            "",
            *markdown_table(section.headers, (_cells(section, line) for line in section.lines)),
            "",
        ]
    if blocks:
        parts += ["## How to read the tables", "", *(f"- {item}" for item in legend(leaderboard)), ""]
    return "\n".join(parts)


def _figure_text(blocks: Iterable[Block]) -> str:
    """The text that stands for the figure."""
    has_intervals = any(entry.undefended.interval.is_shown for block in blocks for entry in block.entries)
    return f"Clean test accuracy of victims trained on each release{', with 95 % intervals' if has_intervals else ''}"


def _cells(section: Section, line: Line) -> list[str]:
    texts = [markdown_cell(text) for text in section.row(line)]
    reference, place = markdown_cell(line.reference), section.headers.index("poisoner")
    texts[place] = f"`{reference}`{texts[place].removeprefix(reference)}"
    return texts


def files(
    records: Sequence[Record], defenses: Sequence[str], title: str, folder: Path | None = None, rules: GateRules = RULES
) -> Mapping[str, str]:
    """The files of a leaderboard's folder beside its records, by name; no figure where no poisoner was measured.

    Args:
        folder: the leaderboard's folder, beside which a cited leaderboard is.
        rules: the suite's, for the gate.

    Raises:
        DataError: if records that would be averaged differ in images or numerics.
    """
    _, table, gates = found = judged(records, rules, folder)
    board = found.leaderboard(defenses)
    figure = {FIGURE: forest_scene(forest(table, board=board.blocks, verdicts=gates)).svg()} if settings(table) else {}
    return {
        "results.csv": to_csv(table),
        "leaderboard.csv": to_leaderboard_csv(board.blocks),
        "README.md": to_markdown(board, title, "".join(figure)),
        **figure,
    }


def build(folder: Path, defenses: Sequence[str], title: str, rules: GateRules = RULES) -> list[Path]:
    """Write the files of a leaderboard beside the records in ``folder``; returns their paths.

    Raises:
        DataError: if there are no records, one cannot be read, or those to be averaged differ in images or numerics.
    """
    paths = []
    for name, text in files(records_in(folder), defenses, title, folder, rules).items():
        atomic_write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def differences(folder: Path, defenses: Sequence[str], title: str, rules: GateRules = RULES) -> list[str]:
    """Names of the files of a leaderboard that do not follow byte for byte from the records beside them.

    Raises:
        DataError: if there are no records, one cannot be read, or those to be averaged differ in images or numerics.
    """
    return [
        name
        for name, text in files(records_in(folder), defenses, title, folder, rules).items()
        if content_of(folder / name) != text.encode()
    ]


def content_of(path: Path) -> bytes | None:
    """The content of a file; None if it cannot be read."""
    try:
        return read_regular(path)
    except OSError:
        return None
