"""``ucbench list``: installed components, and suites; what ``ucbench show`` shares with it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.completion import kinds, of_kind
from ucbench.cli.options import AsJson, argument, plugin_files, with_layout
from ucbench.cli.output import TableLayout, print_json, print_table
from ucbench.errors import UsageError
from ucbench.plugins.registry import Registry, install_line, installed, kind_named, missing_modules
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec
from ucbench.results.text import TextColumn

if TYPE_CHECKING:
    from ucbench.matrix.suite import Suite

#: What ``list`` and ``show`` know.
KINDS = (*SPEC_KINDS, "suite")
#: Fields that ``list`` shows for components of one kind.
_COLUMNS = {
    "surrogate": ("label_access",),
    "poisoner": ("label_access", "granularity", "budget", "oracle"),
    "labeling": ("source",),
    "defense": ("tier", "oracle", "leaked"),
}

_log = logging.getLogger(__name__)


app = typer.Typer()


@app.command("list", rich_help_panel="Components")
@plugin_files
@with_layout
def list_command(
    layout: TableLayout,
    kind: Annotated[
        str | None, argument("KIND", f"One of {', '.join(SPEC_KINDS)}, suite, or a plural.", kinds, "all kinds")
    ] = None,
    glob: Annotated[
        str | None,
        argument("GLOB", "Names or aliases, 'uc*'; known arguments, 'kornia:*'.", of_kind, "all of the kind"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List installed components, or suites.

    Without KIND, components of all kinds.

        ucbench list
        ucbench list poisoner 'uc*'
        ucbench list defense 'kornia:*'
        ucbench list suite
    """
    kind = kind_named(kind, KINDS) if kind else None
    if kind == "suite":
        _list_suites(glob, as_json, layout)
        return
    registry = open_registry()
    kinds = (kind,) if kind else tuple(SPEC_KINDS)
    if glob and ":" in glob:
        _list_arguments(kinds, glob, registry, as_json)
        return
    specs = [registry.find(k, name) for k in kinds for name in registry.names(k, glob)]
    if as_json:
        print_json([describe(spec, registry) for spec in specs])
        return
    fields = _COLUMNS.get(kinds[0], ()) if kind else ()
    print_table(
        [
            TextColumn("kind", ["" if kind else spec.kind for spec in specs]),
            TextColumn("name", [spec.name for spec in specs]),
            TextColumn("aliases", [", ".join(spec.aliases) for spec in specs], rank=8),
            *(
                TextColumn(field.replace("_", " "), [_flag_text(getattr(spec, field)) for spec in specs], rank=rank)
                for rank, field in enumerate(fields, 3)
            ),
            TextColumn("summary", [_with_install(spec) for spec in specs], "prose"),
            TextColumn("from", [registry.origin(spec.kind, spec.name).distribution for spec in specs], rank=9),
        ],
        layout,
        "--json",
    )
    if not specs:
        what = f"{kinds[0]} named {glob!r}" if kind and glob else kinds[0] if kind else "component"
        typer.echo(f"There is no {what}.", err=True)


def _list_arguments(kinds: Sequence[str], glob: str, registry: Registry, as_json: bool) -> None:
    """Print the references ``NAME:ARGUMENT`` that match, for components that know their arguments."""
    names, _, arguments = glob.partition(":")
    references = [
        f"{name}:{value}"
        for kind in kinds
        for name in registry.names(kind, names)
        for value in registry.params_class(registry.find(kind, name)).argument_values()
        if fnmatchcase(value, arguments or "*")
    ]
    if as_json:
        print_json(references)
        return
    for reference in references:
        typer.echo(reference)
    if not references:
        typer.echo(f"No component has a known argument {glob!r}.", err=True)


def _list_suites(glob: str | None, as_json: bool, layout: TableLayout) -> None:
    from ucbench.matrix.requests import suites
    from ucbench.matrix.suite import load_suite

    paths, problems = suites()
    selected = []
    for name, path in sorted(paths.items()):
        if glob is None or fnmatchcase(name, glob):
            try:
                selected.append(load_suite(path))
            except UsageError as error:  # of a plugin: the other suites are listed
                problems.append(f"{error} It is left out.")
    for problem in problems:
        typer.echo(f"Warning: {problem}", err=True)
    if as_json:
        print_json([suite_as_json(suite) for suite in selected])
        return
    print_table(
        [
            TextColumn("name", [suite.file.name for suite in selected]),
            TextColumn("version", [str(suite.file.version) for suite in selected], "number", rank=3),
            TextColumn("title", [suite.file.title for suite in selected], "prose"),
            TextColumn("file", [str(suite.path) for suite in selected], rank=4),
        ],
        layout,
        "--json",
    )
    if not selected:
        typer.echo(f"There is no suite{f' named {glob!r}' if glob else ''}.", err=True)


def suite_as_json(suite: Suite) -> dict[str, Any]:
    """A suite's file as JSON values, and its path."""
    return {**suite.file.model_dump(mode="json", exclude_none=True), "path": str(suite.path)}


def _flag_text(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else ""


def open_registry() -> Registry:
    """The installed components, with a warning for every plugin that was left out."""
    registry = installed()
    for plugin in registry.plugins:
        if plugin.problem:
            _log.warning("Plugin %s was left out: %s.", plugin, plugin.problem)
    for conflict in registry.conflicts:
        _log.warning("%s", conflict)
    return registry


def describe(spec: ComponentSpec, registry: Registry) -> dict[str, Any]:
    """A spec as JSON values, with its plugin and the missing modules."""
    origin = registry.origin(spec.kind, spec.name)
    return {
        "kind": spec.kind,
        **dataclasses.asdict(spec),
        "plugin": origin.name,
        "distribution": origin.distribution,
        "distribution_version": origin.version,
        "missing": missing_modules(spec),
    }


def _with_install(spec: ComponentSpec) -> str:
    """The summary, and what to install if the component cannot run: few need it, and a column would stand empty."""
    line = needed(spec)
    return f"{spec.summary} (needs {line})" if line else spec.summary


def needed(spec: ComponentSpec) -> str:
    """The install line of a component with missing modules, else an empty text."""
    return install_line(spec) if missing_modules(spec) else ""
