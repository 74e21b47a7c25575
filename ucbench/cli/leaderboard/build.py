"""``ucbench leaderboard build``: tables from records."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ucbench.cli.leaderboard.folder import SUITE_FILE
from ucbench.cli.options import verbosity


@click.command("build")
@click.argument("suite")
@click.option("--records", type=click.Path(exists=True, file_okay=False), help="A run's --out; default: --out itself.")
@click.option("--out", type=click.Path(file_okay=False), required=True, help="The leaderboard's folder.")
@verbosity
def command(suite: str, records: str | None, out: str) -> None:
    """Write results.csv, leaderboard.csv and a table to read, README.md, from the records of SUITE.

    Picture sheets and a copy of the suite, suite.toml, are laid beside them.
    """
    from ucbench import api
    from ucbench.leaderboards.tables import build as write

    named = api.suite(suite)
    folder = Path(out)
    if records is not None and Path(records).resolve() != folder.resolve():
        (folder / "records").mkdir(parents=True, exist_ok=True)
        for path in sorted((Path(records) / "records").glob("*.json")):
            shutil.copyfile(path, folder / "records" / path.name)
        for path in sorted((Path(records) / "sheets").glob("*.png")):
            (folder / "sheets").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "sheets" / path.name)
    shutil.copyfile(named.path, folder / SUITE_FILE)
    for path in write(folder, named.file.ranking.defenses, named.title):
        click.echo(str(path))
