"""``ucbench leaderboard export``: a leaderboard's table in another format."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.leaderboard.folder import suite_of
from ucbench.cli.options import verbosity


@click.command("export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--to", "exporter", metavar="NAME", required=True, help="Format; `ucbench list exporter` has all.")
@click.option("--suite", metavar="NAME", help="Whose leaderboard it is; default: what the folder itself says.")
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; default: the output.")
@verbosity
def command(folder: str, exporter: str, suite: str | None, out: str | None) -> None:
    """Write the table of the leaderboard in FOLDER as markdown, latex, html or csv, or whatever plugins add.

    The table is made from the records, as `ucbench leaderboard build` makes it.
    """
    from ucbench import api
    from ucbench.errors import UsageError
    from ucbench.files import atomic_write_text
    from ucbench.leaderboards.tables import entries_in

    chosen = api.session().registry.resolve("exporter", exporter)
    named = suite_of(Path(folder), suite)
    if named is None:
        raise UsageError(f"{folder} does not say which suite it is of: name it by --suite.")
    text = chosen.build().export(entries_in(Path(folder), named.file.ranking.defenses), named.title)
    if out is None:
        click.echo(text, nl=False)
    else:
        atomic_write_text(Path(out), text)
        click.echo(out)
