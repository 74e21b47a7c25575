"""``ucbench leaderboard check``: whether a leaderboard can be trusted as it lies there."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.leaderboard.judging import judge, show, verdict_json
from ucbench.cli.options import as_json, verbosity
from ucbench.cli.output import print_json


@click.command("check")
@click.argument("suite")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--complete", is_flag=True, help="Cells that are missing or failed are errors, not warnings.")
@as_json
@verbosity
def command(suite: str, folder: str, complete: bool, as_json: bool) -> int:
    """Prove that FOLDER holds records of SUITE, and tables that follow from them byte for byte.

    Records must be well-formed, each of one of the suite's cells, and made with the same arithmetic from the same data.
    Missing cells, and machines or library versions that differ, are warnings. A submission's fingerprints are checked
    too, where there are any.
    """
    from ucbench import api

    verdict = judge(api.suite(suite), Path(folder), complete=complete)
    if as_json:
        print_json(verdict_json(verdict))
    else:
        show(verdict)
    return 1 if verdict.failed else 0
