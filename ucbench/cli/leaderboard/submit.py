"""``ucbench leaderboard submit``: a leaderboard packed for others to check."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.leaderboard.judging import judge, show
from ucbench.cli.options import verbosity


@click.command("submit")
@click.argument("suite")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--out", type=click.Path(), required=True, help="A new folder, or an archive FILE.zip.")
@click.option("--complete", is_flag=True, help="Refuse a leaderboard with missing or failed cells.")
@verbosity
def command(suite: str, folder: str, out: str, complete: bool) -> int:
    """Pack the leaderboard of SUITE in FOLDER: records, tables, the suite, and fingerprints of all of it.

    A folder that `ucbench leaderboard check` finds fault with is refused. The same folder gives the same bytes. Send
    the result as a pull request that adds it to leaderboards/, or as the archive.
    """
    from ucbench import api
    from ucbench.leaderboards.submission import pack, write

    named = api.suite(suite)
    verdict = judge(named, Path(folder), complete=complete)
    show(verdict)
    if verdict.failed:
        click.echo(f"Nothing was packed: mend what `ucbench leaderboard check {suite} {folder}` finds first.", err=True)
        return 1
    content = pack(Path(folder), named, verdict.records)
    click.echo(str(write(content, Path(out), f"{named.file.name}-v{named.file.version}")))
    return 0
