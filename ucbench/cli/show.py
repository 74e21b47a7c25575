"""``ucbench show``: one component with its parameters and presets, or one suite."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.catalogue import KINDS, describe, needed, open_registry, suite_as_json
from ucbench.cli.completion import kind_or_name, of_kind
from ucbench.cli.options import AsJson, argument, flag, plugin_files, with_layout
from ucbench.cli.output import TableLayout, as_text, print_facts, print_json, print_notes, print_table
from ucbench.errors import UsageError, did_you_mean
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import Registry, kind_named
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec
from ucbench.plugins.texts import plain
from ucbench.results.text import TextColumn, screen_width

if TYPE_CHECKING:
    from ucbench.plugins.params import Params

app = typer.Typer()

#: Parameters as :func:`ucbench.cli.parameters.parameter_rows` has them.
Rows = Sequence[dict[str, Any]]


@app.command("show", no_args_is_help=True, rich_help_panel="Components")
@plugin_files
@with_layout
def show_command(
    layout: TableLayout,
    kind: Annotated[
        str, argument("KIND|NAME", "Kind, or suite; or the name alone, if only one kind has it.", kind_or_name)
    ],
    name: Annotated[str | None, argument("NAME", "Name of the component or suite, or a reference.", of_kind)] = None,
    full: Annotated[bool, flag("--full", "Also formula, deviations, types, presets' values and whole texts.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show the essentials of a component with its parameters, or a suite.

    A longer reference also shows its values, and the parameters that an argument brings.

        ucbench show uc
        ucbench show uc --full
        ucbench show poisoner uc@paper:clusters=5
        ucbench show defense kornia:RandomAffine
        ucbench show suite digits-core
    """
    registry = open_registry()
    if name is None:
        kind, name = _kind_of(kind, registry), kind
    if (kind := kind_named(kind, KINDS)) == "suite":
        _show_suite(name, as_json)
    else:
        _show_component(kind, name, registry, as_json, layout, full=full)


def _kind_of(reference: str, registry: Registry) -> str:
    """The one kind that has this name.

    Raises:
        UsageError: if there is none or several.
    """
    from ucbench.matrix.requests import suites

    if reference.lower().removesuffix("s") in KINDS:
        raise UsageError(f"{reference} is a kind. Give a NAME too; `ucbench list {reference}` lists them.")
    name = parse(reference).name
    named_suites = suites()[0]
    kinds = [*registry.kinds(name), *(["suite"] if name in named_suites else [])]
    if len(kinds) > 1:
        lines = "".join(f"\n  ucbench show {kind} {reference}" for kind in kinds)
        raise UsageError(f"{name!r} is the name of a {' and of a '.join(kinds)}. Give the kind:{lines}")
    if not kinds:
        known = [known for kind in SPEC_KINDS for known in registry.names(kind)]
        raise UsageError(
            f"There is no component or suite {name!r}.{did_you_mean(name, [*known, *named_suites])}"
            " `ucbench list` shows all components, `ucbench list suite` all suites."
        )
    return kinds[0]


def _show_suite(name: str, as_json: bool) -> None:
    from ucbench.matrix.requests import suite

    shown = suite(name)
    file = shown.file
    if as_json:
        print_json(suite_as_json(shown))
        return

    def axes(values: dict[str, Any]) -> str:
        return "; ".join(f"{key.replace('_', '-')} {_listed(value)}" for key, value in values.items())

    print_facts(
        [
            ("suite", file.name),
            ("version", str(file.version)),
            ("title", file.title),
            ("threads", str(file.threads)),
            ("in all tables", axes(file.common.values())),
            *((f"table {number}", axes(table.values())) for number, table in enumerate(file.table, 1)),
            *(("left out", axes(exclusion.values())) for exclusion in file.exclude),
            ("worst case over", _listed(file.ranking.defenses)),
            ("file", str(shown.path)),
        ]
    )


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _show_component(
    kind: str, name: str, registry: Registry, as_json: bool, layout: TableLayout, *, full: bool
) -> None:
    from ucbench.cli.parameters import parameter_rows, syntax

    ref = parse(name)
    spec = registry.find(kind, ref.name)
    params = registry.params_class(spec).for_argument(ref.argument)
    # A bare name may lack required values: an image folder without a path cannot be resolved, but can be shown.
    lacking = any(field.is_required() and key != params.argument for key, field in params.model_fields.items())
    bare = ref.preset is None and not ref.options and (ref.argument is None or lacking)
    resolved = None if bare else registry.resolve(kind, ref)
    parameters = parameter_rows(params, resolved.params if resolved else None)
    description = describe(spec, registry)
    written = syntax(spec.name, params)
    if as_json:
        print_json(
            description
            | {
                "written": written,
                "reference": str(resolved) if resolved else spec.name,
                "presets": params.preset_names(),
                "preset_surrogates": dict(params.surrogates),
                "arguments": params.argument_values(),
                "parameters": parameters,
            }
        )
        return
    facts = _facts(spec, description, written, params)
    print_facts(facts if full else [(name, value) for name, value in facts if name not in _DETAILS])
    if parameters:
        typer.echo()
        # Named columns are among all.
        columns = _columns(parameters, params) if full or layout.wide or layout.names else _brief(parameters)
        print_table(columns, layout, "--json")
    if not full:
        print_notes("\nFormula, deviations, types, presets and whole texts: --full")


#: Facts that only ``--full`` shows.
_DETAILS = frozenset({"aliases", "equation", "fidelity", "sample", "version", "from"})


def _columns(parameters: Rows, params: type[Params]) -> list[TextColumn]:
    presets = [preset for preset in params.preset_names() if params.presets.get(preset)]
    return [
        *_values(parameters, TextColumn("type", [row["type"] for row in parameters], rank=9)),
        *(
            TextColumn(f"@{preset}", [as_text(row["presets"].get(preset, "")) for row in parameters], rank=rank)
            for rank, preset in enumerate(presets, 3)
        ),
        TextColumn("description", [row["description"] for row in parameters], "prose"),
    ]


def _brief(parameters: Rows) -> list[TextColumn]:
    """Columns in which each parameter takes one line: the start of its description, as far as there is room."""
    columns = _values(parameters)
    width = screen_width()
    taken = sum(max(map(len, (column.title, *column.cells))) + 2 for column in columns if any(column.cells))
    texts = [row["description"] for row in parameters]
    if width is not None:
        texts = [textwrap.shorten(text, max(width - taken, 20), placeholder=" …") for text in texts]
    return [*columns, TextColumn("description", texts, "prose")]


def _values(parameters: Rows, *beside: TextColumn) -> list[TextColumn]:
    return [
        TextColumn("parameter", [row["name"] for row in parameters]),
        *beside,
        TextColumn("default", ["required" if row["required"] else as_text(row["default"]) for row in parameters]),
        TextColumn("value", [as_text(row["value"]) if "value" in row else "" for row in parameters]),
    ]


def _facts(
    spec: ComponentSpec, description: dict[str, Any], written: str, params: type[Params]
) -> list[tuple[str, str]]:
    shown_elsewhere = {"name", "load", "params", "requires", "extra"}
    fields = [field.name for field in dataclasses.fields(spec) if field.name not in shown_elsewhere]
    values = {name: getattr(spec, name) for name in fields}
    return [
        (spec.kind, spec.name),
        *((name.replace("_", " "), plain(as_text(v))) for name, v in values.items() if v not in (None, "", (), False)),
        ("presets", ", ".join(params.preset_names())),
        *((f"surrogate @{preset}", reference) for preset, reference in params.surrogates.items()),
        ("written", written),
        (params.argument or "", ", ".join(params.argument_values())),
        ("from", f"{description['distribution']} {description['distribution_version']} ({description['plugin']})"),
        ("install", needed(spec)),
    ]
