"""``ucbench leaderboard check``: whether published tables follow from their records."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.options import verbosity


@click.command("check")
@click.argument("suite")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@verbosity
def command(suite: str, folder: str) -> int:
    """Prove that the tables in FOLDER follow byte for byte from the records beside them."""
    from ucbench import api
    from ucbench.leaderboard import differences

    named = api.suite(suite)
    wrong = differences(Path(folder), named.file.ranking.defenses, named.title)
    for name in wrong:
        click.echo(f"{Path(folder) / name} does not follow from the records.", err=True)
    if not wrong:
        click.echo("All tables follow from the records.")
    return 1 if wrong else 0
