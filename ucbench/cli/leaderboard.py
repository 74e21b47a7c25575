"""``ucbench leaderboard``: tables from records, and whether they follow from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ucbench.cli.options import verbosity


@click.group("leaderboard")
def command() -> None:
    """Build leaderboards from records, and check published ones."""


@command.command("build")
@click.argument("suite")
@click.option("--records", type=click.Path(exists=True, file_okay=False), help="A run's --out; default: --out itself.")
@click.option("--out", type=click.Path(file_okay=False), required=True, help="The leaderboard's folder.")
@verbosity
def build(suite: str, records: str | None, out: str) -> None:
    """Write results.csv, leaderboard.csv and a table to read, README.md, from the records of SUITE."""
    from ucbench import api
    from ucbench.leaderboard import build as write

    named = api.suite(suite)
    folder = Path(out)
    if records is not None and Path(records).resolve() != folder.resolve():
        (folder / "records").mkdir(parents=True, exist_ok=True)
        for path in sorted((Path(records) / "records").glob("*.json")):
            shutil.copyfile(path, folder / "records" / path.name)
    for path in write(
        folder, named.file.ranking.defenses, _title(named.file.name, named.file.version, named.file.title)
    ):
        click.echo(str(path))


@command.command("check")
@click.argument("suite")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@verbosity
def check(suite: str, folder: str) -> int:
    """Prove that the tables in FOLDER follow byte for byte from the records beside them."""
    from ucbench import api
    from ucbench.leaderboard import differences

    named = api.suite(suite)
    title = _title(named.file.name, named.file.version, named.file.title)
    wrong = differences(Path(folder), named.file.ranking.defenses, title)
    for name in wrong:
        click.echo(f"{Path(folder) / name} does not follow from the records.", err=True)
    if not wrong:
        click.echo("All tables follow from the records.")
    return 1 if wrong else 0


def _title(name: str, version: int, title: str) -> str:
    return f"{name} v{version}" + (f": {title}" if title else "")
