"""``ucbench plugins`` and ``ucbench new-plugin``: installed plugins and their errors; starting a new one."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ucbench.cli.options import OUT_FOLDER, as_json, plugin_files, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.plugins.manager import RESTRICT_VARIABLE, LoadedPlugin
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import SPEC_KINDS


@click.command("plugins")
@plugin_files
@as_json
@verbosity
def plugins_command(as_json: bool) -> None:
    """Show installed plugins, and why a plugin was left out.

    UCBENCH_PLUGINS=NAME,... loads only these, UCBENCH_PLUGINS=none loads none. `-vv` shows where a plugin failed.
    """
    registry = installed()
    restriction = os.environ.get(RESTRICT_VARIABLE)
    if as_json:
        plugins = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "module": plugin.module,
                "components": _components(plugin),
                "problem": plugin.problem,
            }
            for plugin in registry.plugins
        ]
        print_json({"plugins": plugins, "conflicts": registry.conflicts, "restricted_to": restriction})
        return
    print_table(
        ["plugin", "distribution", "version", "components", "left out because"],
        [
            [
                plugin.name,
                plugin.distribution,
                plugin.version,
                "; ".join(f"{kind} {', '.join(names)}" for kind, names in _components(plugin).items()),
                plugin.problem or "",
            ]
            for plugin in registry.plugins
        ],
    )
    for conflict in registry.conflicts:
        click.echo(conflict)
    if restriction:
        click.echo(f"Loading is restricted by {RESTRICT_VARIABLE}={restriction}.")
    elif not registry.plugins:
        click.echo("No plugin is installed.")


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(SPEC_KINDS)), required=True, help="Kind of the component.")
@click.option("--out", type=OUT_FOLDER, default=".", help="Parent folder; default: the current one.")
@verbosity
def new_plugin_command(name: str, kind: str, out: Path) -> None:
    """Write ./ucbench-NAME, a distribution with a component NAME, as the start of your own.

    It can be installed, follows the contract of its kind and has tests.

    \b
      ucbench new-plugin my-noise --kind poisoner
      pip install -e ./ucbench-my-noise
      ucbench run --poisoner my-noise
    """
    from ucbench.scaffold.naming import names_for
    from ucbench.scaffold.writing import write_plugin

    names = names_for(name, kind, installed())
    folder = write_plugin(names, out)
    click.echo(f"Written: {folder}. The component is src/{names.module}/{names.kind}.py. Next:")
    click.echo(f"  pip install -e {folder}")
    click.echo(f"  ucbench check-plugin {names.distribution}")
    click.echo(f"  ucbench show {names.kind} {names.name}")


def _components(plugin: LoadedPlugin) -> dict[str, list[str]]:
    """Names of the plugin's components, by kind."""
    kinds = dict.fromkeys(spec.kind for spec in plugin.specs)
    return {kind: [spec.name for spec in plugin.specs if spec.kind == kind] for kind in kinds}
