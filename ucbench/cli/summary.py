"""The summary of ``ucbench run``, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ucbench.cli.output import print_table
from ucbench.results.view import view

if TYPE_CHECKING:
    import pandas as pd


def print_summary(table: pd.DataFrame) -> None:
    """Print the summary of rows; a narrow terminal does not show the numbers of the lowest priority."""
    summary = view(table)
    if print_table(summary.header, summary.lines, optional=summary.optional):
        typer.echo("A wider terminal shows more columns; results.csv and --json have all.")
    for note in summary.notes:
        typer.echo(note)
