"""``ucbench report``: one page with everything to know about results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucbench.cli.options import BoardFolder, BoardSuite, option

app = typer.Typer()


@app.command("report", no_args_is_help=True, rich_help_panel="Results")
def report_command(
    folder: BoardFolder,
    to: Annotated[
        Path | None, option("FILE", "HTML file to write.", default="FOLDER/report.html", dir_okay=False)
    ] = None,
    suite: BoardSuite = None,
) -> None:
    """Write the results in FOLDER, a run's --out or a leaderboard, as one HTML file that needs no other.

    It holds figures, tables, image sheets, the gate, failures, the commands that compute the cells again, and machines
    and versions. It requests nothing from a network, and suits light and dark screens, phones and paper.

        ucbench report results --to report.html
    """
    from ucbench.cli.leaderboard import suite_of
    from ucbench.leaderboard.report import report
    from ucbench.store.files import atomic_write_text

    target = folder / "report.html" if to is None else to
    atomic_write_text(target, report(folder, suite_of(folder, suite)), "--to")
    typer.echo(target)
