"""A page for every method that comes with ucbench, made from its spec, its parameters and the published results.

Writes ``docs/methods/<kind>-<name>.md`` while building, and replaces ``<!-- methods: KIND -->`` in a page by a table
of the methods of that kind, ``<!-- suites -->`` by one of the suites. Only what the distribution ``ucbench`` registers
is described; other installed plugins bring their own documentation.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from _ext import measured
from _ext.markdown import code, replace_markers, table
from _ext.paths import METHODS, write_pages
from _ext.published import page_about
from ucbench.cli.output import as_text
from ucbench.cli.parameters import parameter_rows
from ucbench.matrix.suite import load_suite, shipped_suites
from ucbench.plugins.params import DEFAULT_PRESET, Params
from ucbench.plugins.registry import Registry, install_line, installed
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec

MARKER = re.compile(r"<!-- methods: (\w+) -->")
SUITES = "<!-- suites -->"

#: What the fields of specs are called on the pages; others go by their own names.
_WORDS = {
    "label_access": "labels it needs",
    "granularity": "one perturbation per",
    "budget": "norm",
    "native_epsilon": "published radius",
    "surrogate": "uses as surrogate",
    "trains_surrogate": "trains its surrogate itself",
    "oracle": "sees what a real one cannot (never ranked)",
    "projects": "relies on the core's projection",
    "fidelity": "compared with the publication",
    "source": "reads",
    "static": "acts once, before training",
    "needs_trusted": "needs trusted images",
    "opaque": "own training loop",
    "untrained": "bare architecture, without weights",
    "epsilon": "radius used unless one is named",
}
_SOURCES = {"semantic": "clean images or metadata, as a person does", "machine": "the published pixels"}
_ELSEWHERE = {
    "name",
    "summary",
    "load",
    "params",
    "aliases",
    "requires",
    "extra",
    "version",
    "paper",
    "equation",
    "sample",
}


def specs() -> list[ComponentSpec]:
    """The methods that come with ucbench, by kind and name."""
    registry = installed()
    return [
        spec
        for kind in SPEC_KINDS
        for spec in registry.specs(kind)
        if registry.origin(kind, spec.name).distribution == "ucbench"
    ]


def page_name(spec: ComponentSpec) -> str:
    return f"{spec.kind}-{spec.name}.md"


def pages() -> dict[str, str]:
    """All pages by file name."""
    registry = installed()
    return {page_name(spec): page(spec, registry) for spec in specs()}


def page(spec: ComponentSpec, registry: Registry) -> str:
    """One method as Markdown."""
    params = registry.params_class(spec)
    parts = [
        f"# {_KINDS.get(spec.kind, spec.kind.capitalize())} `{spec.name}`",
        f"{spec.summary[:1].upper()}{spec.summary[1:]}.",
        _usage(spec, params),
        _equation(spec.equation),
        "\n".join(f"- {name}: {text}" for name, text in _facts(spec)),
        _presets(spec, params),
        _parameters(params),
        _figures(spec),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _equation(text: str) -> str:
    """The equation as a block, with one line per symbol explained."""
    lines = text.replace("; ", "\n")
    return f"```text\n{lines}\n```" if text else ""


_KINDS = {"dataset": "Data set"}
_OPTION = {**{kind: f"--{kind}" for kind in SPEC_KINDS}, "exporter": "--to"}


def _usage(spec: ComponentSpec, params: type[Params]) -> str:
    preset = "[@PRESET]" if len(params.preset_names()) > 1 else ""
    argument = f":{params.argument.upper()}" if params.argument else ""
    if argument and not params.model_fields[params.argument].is_required():
        argument = f"[{argument}]"
    options = "[:key=value,...]" if params.model_fields else ""
    written = f"Written `{_OPTION[spec.kind]} {spec.name}{preset}{argument}{options}`"
    required = any(field.is_required() for field in params.model_fields.values())
    written += f", for example `{spec.name}:{spec.sample}`." if required and spec.sample else "."
    if spec.aliases:
        written += f" Also called {', '.join(map(code, spec.aliases))}."
    if spec.requires:
        written += f" Needs more than a plain installation: `{install_line(spec)}`."
    return written


def _facts(spec: ComponentSpec) -> list[tuple[str, str]]:
    rows = [("paper", spec.paper), ("version of its numbers", str(spec.version))]
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if field.name in _ELSEWHERE or value in (None, "", (), False):
            continue
        rows.append((_WORDS.get(field.name, field.name.replace("_", " ")), _fact(spec, field.name, value)))
    return [(name, text) for name, text in rows if text]


def _fact(spec: ComponentSpec, name: str, value: Any) -> str:
    if name == "surrogate":
        return f"[`{value}`](surrogate-{measured.base(value)}.md)"
    if name == "source":
        return _SOURCES.get(value, value)
    if name in ("native_epsilon", "epsilon"):
        norm = getattr(spec, "budget", "linf")
        return f"{value:g}" + {"linf": "/255", "l0": " pixels"}.get(norm, f" ({norm})")
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def _presets(spec: ComponentSpec, params: type[Params]) -> str:
    named = [(preset, params.presets.get(preset, {})) for preset in params.preset_names()]
    shown = [(preset, values) for preset, values in named if values or preset != DEFAULT_PRESET]
    if not shown:
        return ""
    lines = [
        f"- `{spec.name}@{preset}`: {', '.join(f'`{k}={as_text(v)}`' for k, v in values.items()) or 'nothing'}"
        for preset, values in shown
    ]
    return "\n".join(["## Presets", "", f"A bare `{spec.name}` has the defaults below. A preset changes", "", *lines])


def _parameters(params: type[Params]) -> str:
    rows = [
        (code(row["name"]), code(row["type"]), "required" if row["required"] else _default(row), row["description"])
        for row in parameter_rows(params, None)
    ]
    if not rows:
        return ""
    return f"## Parameters\n\n{table(['parameter', 'type', 'default', 'meaning'], rows)}"


def _default(row: dict[str, Any]) -> str:
    text = as_text(row["default"])
    return code(text) if text else "empty"


def _figures(spec: ComponentSpec) -> str:
    found = measured.section(spec.kind, spec.name, lambda path: _relative(page_about(path)))
    if not found:
        return ""
    what = "Of clean rows alone. " if spec.kind in ("dataset", "victim") else ""
    how = "[How to read these tables](../methods.md#measured-figures)."
    return f"## Measured\n\n{what}Means over n craft seeds. {how}\n\n{found}"


def _relative(page: str) -> str:
    return os.path.relpath(page, METHODS) if page else ""


def overview(kind: str) -> str:
    """A table of the methods of one kind, with links to their pages."""
    found = [spec for spec in specs() if spec.kind == kind]
    facts = {"poisoner": ("label_access", "budget"), "defense": ("tier",), "labeling": ("source",)}.get(kind, ())
    return table(
        ["name", *(_HEADINGS[fact] for fact in facts), "what it is"],
        [
            [f"[`{spec.name}`]({METHODS}/{page_name(spec)})", *(getattr(spec, f) for f in facts), spec.summary]
            for spec in found
        ],
    )


_HEADINGS = {"label_access": "labels", "budget": "norm", "tier": "tier", "source": "reads"}


def _write(app: Any) -> None:
    write_pages(Path(app.srcdir), METHODS, pages())


def suites() -> str:
    """A table of the shipped suites."""
    found = [load_suite(path).file for _, path in sorted(shipped_suites().items())]
    return table(["name", "version", "what it is for"], [[code(s.name), str(s.version), s.title] for s in found])


def inserted(text: str) -> str:
    """``text`` with the tables in place of their markers."""
    return MARKER.sub(lambda found: overview(found[1]), text.replace(SUITES, suites()))


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return replace_markers(app, inserted, "methods")
