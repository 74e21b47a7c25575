"""``ucbench show``: one component with its parameters and presets."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.catalogue import as_text, describe, needed, open_registry
from ucbench.cli.options import as_json, plugin_files, verbosity
from ucbench.cli.output import print_facts, print_json, print_table
from ucbench.components import ComponentRecord

if TYPE_CHECKING:
    from ucbench.params import Params


@click.command("show")
@click.argument("kind")
@click.argument("name", metavar="NAME[@PRESET]")
@plugin_files
@as_json
@verbosity
def command(kind: str, name: str, as_json: bool) -> None:
    """Show a component, its parameters and presets.

    A longer reference shows the values it stands for: `ucbench show poisoner uc@paper:clusters=5`.
    """
    from ucbench.cli.parameters import parameter_rows
    from ucbench.grammar import parse

    registry = open_registry()
    ref = parse(name)
    record = registry.find(kind, ref.name)
    params = registry.params_class(record)
    # A bare name need not be complete: an image folder without a path cannot be resolved, but can be shown.
    bare = ref.preset is None and ref.argument is None and not ref.options
    resolved = None if bare else registry.resolve(kind, ref)
    parameters = parameter_rows(params, resolved.params if resolved else None)
    description = describe(record, registry)
    written = _written(record, params)
    if as_json:
        print_json(
            description
            | {
                "written": written,
                "reference": str(resolved) if resolved else record.name,
                "presets": params.preset_names(),
                "parameters": parameters,
            }
        )
        return
    print_facts(_facts(record, description, written, params))
    if not parameters:
        return
    click.echo()
    presets = [preset for preset in params.preset_names() if params.presets.get(preset)]
    print_table(
        ["parameter", "type", "default", "value", *(f"@{preset}" for preset in presets), "description"],
        [_cells(row, presets) for row in parameters],
    )


def _facts(
    record: ComponentRecord, description: dict[str, Any], written: str, params: type[Params]
) -> list[tuple[str, str]]:
    shown_elsewhere = {"name", "load", "params", "requires", "extra"}
    fields = [field.name for field in dataclasses.fields(record) if field.name not in shown_elsewhere]
    values = {name: getattr(record, name) for name in fields}
    return [
        (record.kind, record.name),
        *((name.replace("_", " "), as_text(v)) for name, v in values.items() if v not in (None, "", ())),
        ("presets", ", ".join(params.preset_names())),
        ("written", written),
        (
            "from",
            f"{description['distribution']} {description['distribution_version']} ({description['plugin']})",
        ),
        ("install", needed(record)),
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


def _written(record: ComponentRecord, params: type[Params]) -> str:
    """How a reference to the component may be written."""
    preset = "[@PRESET]" if len(params.preset_names()) > 1 else ""
    argument = f"[:{params.argument.upper()}]" if params.argument else ""
    options = "[:key=value,...]" if params.model_fields else ""
    return f"{record.name}{preset}{argument}{options}"
