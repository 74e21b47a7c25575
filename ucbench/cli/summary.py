"""The summary of ``ucbench run``: means over seeds beside their references, and the gates."""

from __future__ import annotations

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
    titles = [number.brief for number in numbers]
    lines = [
        [
            group.shared["poisoner"],
            *(str(group.shared[name]) for name in varying),
            _budget(group.shared),
            *(group.means[number.name].text(number.shown, number.factor, constant=False) for number in numbers),
            f"{group.done}" + (f" ({group.failed} failed)" if group.failed else ""),
        ]
        for group in groups
    ]
    header = ["poisoner", *(column(name).heading for name in varying), "budget", *titles, "n"]
    if print_table(header, lines, optional=titles[:0:-1]):
        click.echo("A wider terminal shows more columns; results.csv and --json have all.")
    # Not printed: 0 trusted images.
    shared = {name: groups[0].shared[name] for name in _VARYING if groups and name not in varying}
    click.echo("; ".join(f"{column(name).heading} {value}" for name, value in shared.items() if value != 0))
    if groups:
        click.echo(_seeds_note(groups))
    for gate in gates(table):
        where = f"{gate.shared['dataset']} at {_budget(gate.shared)}, {gate.shared['victim']}"
        click.echo(f"Gate for {where}: {gate.text}")


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
