"""``ucbench new-plugin``: the start of a plugin, complete and working."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.options import verbosity
from ucbench.components import RECORD_KINDS


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(RECORD_KINDS)), required=True, help="What the component is.")
@click.option(
    "--out", type=click.Path(file_okay=False), default=".", help="Folder to make it in; default: where you are."
)
@verbosity
def command(name: str, kind: str, out: str) -> None:
    """Write ./ucbench-NAME, a distribution with a component NAME to be changed into your own.

    It installs, keeps the contract of its kind and has tests of its own: a place to start from.

    \b
      ucbench new-plugin my-noise --kind poisoner
      pip install -e ./ucbench-my-noise
      ucbench run --poisoner my-noise
    """
    from ucbench.registry import installed
    from ucbench.scaffold import names_for, write_plugin

    names = names_for(name, kind, installed())
    folder = write_plugin(names, Path(out))
    click.echo(f"Written: {folder}. The component is src/{names.module}/{names.kind}.py. Next:")
    click.echo(f"  pip install -e {folder}")
    click.echo(f"  ucbench check-plugin {names.distribution}")
    click.echo(f"  ucbench show {names.kind} {names.name}")
