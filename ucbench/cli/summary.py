"""The summary of ``ucbench run``, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench.cli.output import FITTING, Layout, print_notes, print_table
from ucbench.results.view import view

if TYPE_CHECKING:
    import pandas as pd


def print_summary(table: pd.DataFrame, layout: Layout = FITTING, elsewhere: str = "") -> None:
    """Print the summary of rows; a narrow screen does not show the columns of the lowest priority."""
    summary = view(table)
    print_table(summary.columns, layout, elsewhere)
    print_notes(*summary.notes)
