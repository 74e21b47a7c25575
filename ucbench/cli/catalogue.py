"""``ucbench list`` and ``ucbench show``: all installed components, and one with its parameters and presets."""

from __future__ import annotations

import dataclasses
import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import as_json, plugin_files, verbosity
from ucbench.cli.output import as_text, print_facts, print_json, print_table
from ucbench.plugins.registry import Registry, install_line, installed, kind_named, missing_modules
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec

if TYPE_CHECKING:
    from ucbench.plugins.params import Params

#: Fields that ``list`` shows for components of one kind.
_COLUMNS = {
    "surrogate": ("label_access",),
    "poisoner": ("label_access", "granularity", "budget", "oracle"),
    "labeling": ("source",),
    "defense": ("tier", "oracle"),
}

_log = logging.getLogger(__name__)


@click.command("list")
@click.argument("kind", required=False)
@click.argument("glob", required=False)
@plugin_files
@as_json
@verbosity
def list_command(kind: str | None, glob: str | None, as_json: bool) -> None:
    """List installed components.

    KIND is dataset, surrogate, poisoner, labeling, defense, victim, metric, executor, exporter or suite, or a plural;
    without it, all components are listed. GLOB selects by name or alias: `ucbench list poisoner 'uc*'`.
    """
    if kind in ("suite", "suites"):
        _list_suites(glob, as_json)
        return
    registry = _open_registry()
    kinds = (kind_named(kind),) if kind else tuple(SPEC_KINDS)
    specs = [registry.find(k, name) for k in kinds for name in registry.names(k, glob)]
    if as_json:
        print_json([_describe(spec, registry) for spec in specs])
        return
    fields = _COLUMNS.get(kinds[0], ()) if kind else ()
    left_out = print_table(
        ["kind", "name", "aliases", *(field.replace("_", " ") for field in fields), "summary", "from", "install"],
        [
            [
                "" if kind else spec.kind,
                spec.name,
                ", ".join(spec.aliases),
                *(_flag_text(getattr(spec, field)) for field in fields),
                spec.summary,
                registry.origin(spec.kind, spec.name).distribution,
                _needed(spec),
            ]
            for spec in specs
        ],
        optional=("from", "aliases", *(field.replace("_", " ") for field in reversed(fields)), "install"),
        prose="summary",
    )
    _hint(left_out)
    if not specs:
        what = f"{kinds[0]} named {glob!r}" if kind and glob else kinds[0] if kind else "component"
        click.echo(f"There is no {what}.", err=True)


def _list_suites(glob: str | None, as_json: bool) -> None:
    from ucbench.api import suites
    from ucbench.matrix.suite import load_suite

    paths, problems = suites()
    for problem in problems:
        click.echo(f"Warning: {problem}", err=True)
    selected = [load_suite(path) for name, path in sorted(paths.items()) if glob is None or fnmatchcase(name, glob)]
    if as_json:
        print_json(
            [{**suite.file.model_dump(mode="json", exclude_none=True), "path": str(suite.path)} for suite in selected]
        )
        return
    print_table(
        ["name", "version", "title", "file"],
        [[suite.file.name, str(suite.file.version), suite.file.title, str(suite.path)] for suite in selected],
    )


def _flag_text(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else ""


@click.command("show")
@click.argument("kind")
@click.argument("name", metavar="NAME[@PRESET]")
@plugin_files
@as_json
@verbosity
def show_command(kind: str, name: str, as_json: bool) -> None:
    """Show a component, its parameters and presets.

    A longer reference also shows its values, and the parameters that an argument brings:
    `ucbench show poisoner uc@paper:clusters=5`, `ucbench show defense kornia:RandomAffine`.
    """
    from ucbench.cli.parameters import parameter_rows
    from ucbench.plugins.grammar import parse

    registry = _open_registry()
    ref = parse(name)
    spec = registry.find(kind, ref.name)
    params = registry.params_class(spec).for_argument(ref.argument)
    # A bare name may lack required values: an image folder without a path cannot be resolved, but can be shown.
    lacking = any(field.is_required() and key != params.argument for key, field in params.model_fields.items())
    bare = ref.preset is None and not ref.options and (ref.argument is None or lacking)
    resolved = None if bare else registry.resolve(kind, ref)
    parameters = parameter_rows(params, resolved.params if resolved else None)
    description = _describe(spec, registry)
    written = _syntax(spec, params)
    if as_json:
        print_json(
            description
            | {
                "written": written,
                "reference": str(resolved) if resolved else spec.name,
                "presets": params.preset_names(),
                "arguments": params.argument_values(),
                "parameters": parameters,
            }
        )
        return
    print_facts(_facts(spec, description, written, params))
    if not parameters:
        return
    click.echo()
    presets = [preset for preset in params.preset_names() if params.presets.get(preset)]
    left_out = print_table(
        ["parameter", "type", "default", "value", *(f"@{preset}" for preset in presets), "description"],
        [_cells(row, presets) for row in parameters],
        optional=("type", *(f"@{preset}" for preset in reversed(presets))),
        prose="description",
    )
    _hint(left_out)


def _hint(left_out: bool) -> None:
    if left_out:
        click.echo("A wider terminal shows more columns; --json has all.")


def _facts(
    spec: ComponentSpec, description: dict[str, Any], written: str, params: type[Params]
) -> list[tuple[str, str]]:
    shown_elsewhere = {"name", "load", "params", "requires", "extra"}
    fields = [field.name for field in dataclasses.fields(spec) if field.name not in shown_elsewhere]
    values = {name: getattr(spec, name) for name in fields}
    return [
        (spec.kind, spec.name),
        *((name.replace("_", " "), as_text(v)) for name, v in values.items() if v not in (None, "", ())),
        ("presets", ", ".join(params.preset_names())),
        ("written", written),
        (params.argument or "", ", ".join(params.argument_values())),
        ("from", f"{description['distribution']} {description['distribution_version']} ({description['plugin']})"),
        ("install", _needed(spec)),
    ]


def _cells(row: dict[str, Any], presets: list[str]) -> list[str]:
    return [
        row["name"],
        row["type"],
        "required" if row["required"] else as_text(row["default"]),
        as_text(row["value"]) if "value" in row else "",
        *(as_text(row["presets"][preset]) if preset in row["presets"] else "" for preset in presets),
        row["description"],
    ]


def _syntax(spec: ComponentSpec, params: type[Params]) -> str:
    """The syntax of references to the component."""
    preset = "[@PRESET]" if len(params.preset_names()) > 1 else ""
    argument = f"[:{params.argument.upper()}]" if params.argument else ""
    options = "[:key=value,...]" if params.model_fields else ""
    return f"{spec.name}{preset}{argument}{options}"


def _open_registry() -> Registry:
    """The installed components, with a warning for every plugin that was left out."""
    registry = installed()
    for plugin in registry.plugins:
        if plugin.problem:
            _log.warning("Plugin %s was left out: %s.", plugin, plugin.problem)
    for conflict in registry.conflicts:
        _log.warning("%s", conflict)
    return registry


def _describe(spec: ComponentSpec, registry: Registry) -> dict[str, Any]:
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


def _needed(spec: ComponentSpec) -> str:
    """The install line of a component with missing modules, else an empty text."""
    return install_line(spec) if missing_modules(spec) else ""
