"""The summary of ``ucbench run``: means over seeds beside their references, and the gates."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ucbench.cli.output import print_table
from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.results.columns import AVERAGED, COLUMNS, column
from ucbench.results.gate import gates
from ucbench.results.table import Row, Summary, columns, summarise

if TYPE_CHECKING:
    import pandas as pd

#: Columns shown only if rows differ in them, and numbers that are always shown.
_VARYING = [name for name in GROUP_COLUMNS if name not in ("poisoner", "norm", "epsilon")]
_NUMBERS = [number for number in AVERAGED if number.summary]


def print_summary(table: pd.DataFrame) -> None:
    """Print one line per group of rows that differ only in their seeds; then shared settings, seeds and gates.

    A narrow terminal does not show the numbers of the lowest priority.
    """
    groups = summarise(table)
    # Requested metrics follow the numbers of every record.
    numbers = [*_NUMBERS, *map(column, columns(table)[len(COLUMNS) :])]
    varying = [name for name in _VARYING if len({str(group.shared[name]) for group in groups}) > 1]
    leading = [["poisoner", *(column(name).heading for name in varying), "budget"]]
    measured = [[number.brief for number in numbers]]
    seeds = ["n"]
    for group in groups:
        leading.append(
            [group.shared["poisoner"], *(str(group.shared[name]) for name in varying), _budget(group.shared)]
        )
        measured.append([group.means[n.name].text(n.shown, n.factor, constant=False) for n in numbers])
        seeds.append(f"{group.done}" + (f" ({group.failed} failed)" if group.failed else ""))
    indices = _fitting([[*left, count] for left, count in zip(leading, seeds, strict=True)], measured)
    header, *lines = (
        [*left, *(texts[index] for index in indices), count]
        for left, texts, count in zip(leading, measured, seeds, strict=True)
    )
    print_table(header, lines)
    if len(indices) < len(_shown(measured)):
        click.echo("A wider terminal shows more columns; results.csv and --json have all.")
    # Not printed: 0 trusted images.
    shared = {name: groups[0].shared[name] for name in _VARYING if groups and name not in varying}
    click.echo("; ".join(f"{column(name).heading} {value}" for name, value in shared.items() if value != 0))
    if groups:
        click.echo(_seeds_note(groups))
    for gate in gates(table):
        where = f"{gate.shared['dataset']} at {_budget(gate.shared)}, {gate.shared['victim']}"
        click.echo(f"Gate for {where}: {gate.text}")


def _shown(lines: Sequence[Sequence[str]]) -> list[int]:
    """Indices of the columns that are not empty below the heading."""
    return [index for index in range(len(lines[0])) if any(line[index] for line in lines[1:])]


def _fitting(fixed: Sequence[Sequence[str]], lines: Sequence[Sequence[str]]) -> list[int]:
    """Indices of the columns of ``lines`` to print: on a terminal as many, from the left, as fit next to ``fixed``.

    At least one; all of them in a pipe or file. Empty columns are left out.
    """

    def width(lines: Sequence[Sequence[str]], index: int) -> int:
        return 2 + max(len(line[index]) for line in lines)

    indices = _shown(lines)
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - sum(width(fixed, index) for index in range(len(fixed[0])))
        while len(indices) > 1 and sum(width(lines, index) for index in indices) > room:
            indices.pop()
    return indices


def _budget(row: Row) -> str:
    return "" if row["epsilon"] is None else f"{row['norm']} {row['epsilon']:g}"


def _seeds_note(groups: Sequence[Summary]) -> str:
    seeds = max(
        (group.means["test_accuracy"].n for group in groups if group.shared["craft_seed"] is not None), default=0
    )
    if seeds < 2:
        return "One craft seed: exploratory, no intervals. Repeat with --seed 0-3."
    text = f"Mean ± half-width of the 95 % t interval over {seeds} craft seeds."
    return text if seeds >= 4 else f"{text} Fewer than four: exploratory."
