"""``ucbench plugins``: where each plugin came from, what failed and why."""

from __future__ import annotations

import os

import click

from ucbench.cli.options import as_json, plugin_files, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.plugins import RESTRICT_VARIABLE, LoadedPlugin
from ucbench.registry import installed


@click.command("plugins")
@plugin_files
@as_json
@verbosity
def command(as_json: bool) -> None:
    """Show installed plugins and why any was left out.

    With UCBENCH_PLUGINS=NAME,... only these are loaded; with UCBENCH_PLUGINS=none, none is. `-vv` shows where
    a plugin failed.
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
        ["plugin", "distribution", "version", "brings", "left out because"],
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


def _components(plugin: LoadedPlugin) -> dict[str, list[str]]:
    """Names of what the plugin registers, by kind."""
    kinds = dict.fromkeys(record.kind for record in plugin.records)
    return {kind: [record.name for record in plugin.records if record.kind == kind] for kind in kinds}
