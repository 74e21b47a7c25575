"""``ucbench plugins`` and ``ucbench new-plugin``: installed plugins and their errors; starting a new one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ucbench.cli.completion import of
from ucbench.cli.options import AsJson, argument, option, plugin_files
from ucbench.cli.output import print_json, print_table
from ucbench.errors import UsageError
from ucbench.plugins.manager import RESTRICT_VARIABLE, LoadedPlugin
from ucbench.plugins.registry import installed, kind_named
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.results.text import TextColumn

app = typer.Typer()


@app.command("plugins", rich_help_panel="Components")
@plugin_files
def plugins_command(as_json: AsJson = False) -> None:
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
    loaded = registry.plugins
    texts = ["; ".join(f"{kind} {', '.join(names)}" for kind, names in _components(one).items()) for one in loaded]
    print_table(
        [
            TextColumn("plugin", [one.name for one in loaded]),
            TextColumn("distribution", [one.distribution for one in loaded]),
            TextColumn("version", [one.version for one in loaded]),
            TextColumn("components", texts, "prose"),
            TextColumn("left out because", [one.problem or "" for one in loaded], "prose"),
        ]
    )
    for conflict in registry.conflicts:
        typer.echo(conflict)
    if restriction:
        typer.echo(f"Loading is restricted by {RESTRICT_VARIABLE}={restriction}.")


def _kind(text: str) -> str:
    try:
        return kind_named(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("new-plugin", no_args_is_help=True, rich_help_panel="Components")
def new_plugin_command(
    name: Annotated[str, argument("NAME", "Name of the component: my-noise.")],
    kind: Annotated[str, option("KIND", f"One of {', '.join(SPEC_KINDS)}.", parser=_kind, complete=of(*SPEC_KINDS))],
    out: Annotated[Path, option("FOLDER", "Parent folder of the new one.", file_okay=False)] = Path("."),
) -> None:
    """Write ./ucbench-NAME, a distribution with a component NAME, as the start of your own.

    It can be installed, follows the contract of its kind and has tests.

        ucbench new-plugin my-noise --kind poisoner
        pip install -e ./ucbench-my-noise
        ucbench run --poisoner my-noise
    """
    from ucbench.scaffold.naming import names_for
    from ucbench.scaffold.writing import write_plugin

    names = names_for(name, kind, installed())
    folder = write_plugin(names, out)
    typer.echo(f"Written: {folder}. The component is src/{names.module}/{names.kind}.py. Next:")
    typer.echo(f"  pip install -e {folder}")
    typer.echo(f"  ucbench check-plugin {names.distribution}")
    typer.echo(f"  ucbench show {names.kind} {names.name}")


def _components(plugin: LoadedPlugin) -> dict[str, list[str]]:
    """Names of the plugin's components, by kind."""
    kinds = dict.fromkeys(spec.kind for spec in plugin.specs)
    return {kind: [spec.name for spec in plugin.specs if spec.kind == kind] for kind in kinds}
