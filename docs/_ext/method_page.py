"""The page of one method: a card, what it does to images, its formula, deviations, parameters, figures, citations.

A method that needs more words than its spec has them in ``docs/_methods``, below headings of the second level.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from _ext import mathematics, measured, thumbnails
from _ext.markdown import cell, code, table
from _ext.paths import DOCS, METHODS, WRITTEN
from _ext.published import page_about
from ucbench.cli.output import as_text
from ucbench.cli.parameters import parameter_rows, syntax
from ucbench.plugins.citations import Citation, bibtex, citations
from ucbench.plugins.params import DEFAULT_PRESET, Params
from ucbench.plugins.registry import Registry, install_line
from ucbench.plugins.specs import SPEC_KINDS, TIERS, ComponentSpec, PoisonerSpec
from ucbench.plugins.texts import sentences

_KINDS = {"dataset": "Data set"}
_OPTION = {**{kind: f"--{kind}" for kind in SPEC_KINDS}, "exporter": "--to"}

#: Headings of the card's lines, by field; other fields go by their names.
_HEADINGS = {
    "granularity": "perturbs",
    "label_access": "label knowledge",
    "surrogate": "uses as surrogate",
    "native_epsilon": "published radius",
    "source": "reads",
    "epsilon": "default radius",
    "oracle": "oracle",
    "projects": "projection",
    "static": "acts",
    "needs_trusted": "trusted images",
    "leaked": "leaked pairs",
    "opaque": "training loop",
    "untrained": "weights",
    "side": "images",
    "smallest": "images",
}
#: Values of fields, in words.
_WORDS: dict[str, dict[Any, str]] = {
    "granularity": {
        "sample": "every image on its own",
        "class": "one perturbation per class",
        "cluster": "one perturbation per cluster",
        "universal": "one perturbation for all images",
    },
    "label_access": {"none": "none", "names": "class names", "full": "labels"},
    "source": {"semantic": "clean images or metadata, as a person does", "machine": "the published pixels"},
    "oracle": {True: "sees what nobody could in earnest; never ranked"},
    "tier": {tier: f"{tier}, {meaning}" for tier, meaning in TIERS.items()},
    "projects": {True: "relies on the core's"},
    "static": {True: "once, before training"},
    "needs_trusted": {True: "needed"},
    "leaked": {True: "sees its trusted images after the same protection too; never ranked"},
    "opaque": {True: "its own"},
    "untrained": {True: "none: the bare architecture"},
    "remote": {True: "yes"},
}
_ELSEWHERE = {
    *("name", "title", "summary", "load", "params", "version", "paper", "equation", "aliases", "requires", "extra"),
    *("fidelity", "trains_surrogate", "budget", "native_epsilon", "sample"),
}


def page(spec: ComponentSpec, registry: Registry) -> str:
    """One method as Markdown."""
    params = registry.params_class(spec)
    parts = [
        f"# {_KINDS.get(spec.kind, spec.kind.capitalize())} `{spec.name}`" + (f": {spec.title}" if spec.title else ""),
        f"```{{index}} {', '.join(index_entries(spec))}\n```",
        f"{spec.summary[:1].upper()}{spec.summary[1:]}.",
        _card(spec, params),
        thumbnails.figure(spec, registry) if isinstance(spec, PoisonerSpec) else "",
        _section("Formula", mathematics.markdown(spec.equation)),
        _section("Fidelity", "\n".join(f"- {each}" for each in sentences(spec.fidelity))),
        _written(spec),
        _section("Presets", _presets(spec, params)),
        _section("Parameters", _parameters(params)),
        _section("Measured", _figures(spec)),
        _section("How to cite", "\n\n".join(f"```bibtex\n{each}\n```" for each in bibtex(spec.name, spec.paper))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _written(spec: ComponentSpec) -> str:
    """What people wrote about the method beside its spec; empty for most."""
    path = WRITTEN / f"{spec.kind}-{spec.name}.md"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _section(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}" if text else ""


def index_entries(spec: ComponentSpec) -> list[str]:
    """By what the search finds the page, before pages that only mention it: names, title and abbreviations."""
    title, _, short = spec.title.rstrip(")").partition(" (")
    names = [title, *short.split(", "), spec.name, *(alias.replace("-", " ") for alias in spec.aliases)]
    unique: dict[str, str] = {}
    for name in filter(None, names):
        unique.setdefault(name.lower(), name)
    return list(unique.values())


def _card(spec: ComponentSpec, params: type[Params]) -> str:
    """The facts of the spec as a table of two columns."""
    rows = [
        *((name, text) for name, text in _facts(spec) if text),
        ("presets", ", ".join(code(f"{spec.name}@{preset}") for preset in _named_presets(params))),
        ("also called", ", ".join(map(code, spec.aliases))),
        ("command line", code(f"{_OPTION[spec.kind]} {syntax(spec.name, params)}")),
        ("for example", code(f"{spec.name}:{spec.sample}") if _is_required(params) and spec.sample else ""),
        ("install", code(install_line(spec)) if spec.requires else ""),
        ("paper", "; ".join(map(_cited, citations(spec.paper))) or spec.paper),
        ("version", str(spec.version)),
    ]
    lines = [f"| {name[:1].upper()}{name[1:]} | {cell(text)} |" for name, text in rows if text]
    return "\n".join(["{.card}", "| | |", "|---|---|", *lines])


def _cited(each: Citation) -> str:
    note = f" ({each.note})" if each.note else ""
    return f"{', '.join(each.authors)}: *{each.title}*{each.published} [{each.label}]({each.link}){note}"


def _is_required(params: type[Params]) -> bool:
    return any(field.is_required() for field in params.model_fields.values())


def _facts(spec: ComponentSpec) -> list[tuple[str, str]]:
    rows = []
    for field in sorted(dataclasses.fields(spec), key=lambda field: field.name != "granularity"):
        value = getattr(spec, field.name)
        if field.name not in _ELSEWHERE and value not in (None, "", (), False):
            heading = _HEADINGS.get(field.name, field.name.replace("_", " "))
            rows.append((heading, _fact(spec, field.name, value)))
    if isinstance(spec, PoisonerSpec):
        rows += [("budget", _budget(spec)), ("cost", _cost(spec))]
    return rows


def _fact(spec: ComponentSpec, name: str, value: Any) -> str:
    if name == "surrogate":
        return f"[`{value}`](surrogate-{measured.base(value)}.md)"
    if name == "epsilon":
        return f"{value:g}/255"
    if name in ("side", "smallest"):
        return f"{value} px" + (" and more" if name == "smallest" else "")
    if isinstance(value, tuple):
        return ", ".join(map(code, value))
    return _WORDS.get(name, {}).get(value, str(value))


def _budget(spec: PoisonerSpec) -> str:
    if spec.budget == "unbounded":
        return "unbounded"
    if spec.native_epsilon is None:
        return spec.budget
    unit = {"linf": "/255", "l0": " pixel" if spec.native_epsilon == 1 else " pixels"}.get(spec.budget, "")
    return f"{spec.budget}, published with {spec.native_epsilon:g}{unit}"


def _cost(spec: PoisonerSpec) -> str:
    """What crafting takes, and the range of its seconds in the published results."""
    if not spec.paper:
        return ""
    work = "gradients of its surrogate" if spec.surrogate else "no gradients"
    if spec.trains_surrogate:
        work = "gradients of a network that it trains"
    seconds = measured.craft_seconds(spec.name)
    if not seconds:
        return work
    ends = dict.fromkeys(map(_duration, (min(seconds), max(seconds))))
    return f"{work}; {' to '.join(ends)} in the records below"


def _duration(seconds: float) -> str:
    unit, size = next((unit for unit in (("h", 3600), ("min", 60)) if seconds >= 2 * unit[1]), ("s", 1))
    return f"{seconds / size:.0f}\N{NO-BREAK SPACE}{unit}" if seconds >= 1 else "under 1\N{NO-BREAK SPACE}s"


def _named_presets(params: type[Params]) -> list[str]:
    return [preset for preset in params.preset_names() if params.presets.get(preset)]


def _presets(spec: ComponentSpec, params: type[Params]) -> str:
    lines = [
        f"- `{spec.name}@{preset}`: {', '.join(f'`{k}={as_text(v)}`' for k, v in params.presets[preset].items())}"
        + (f"; surrogate `{params.surrogates[preset]}`" if preset in params.surrogates else "")
        for preset in _named_presets(params)
    ]
    lines += [
        f"- `{spec.name}@{preset}`: the defaults"
        for preset in params.preset_names()
        if preset != DEFAULT_PRESET and not params.presets.get(preset)
    ]
    return "\n".join([f"`{spec.name}` alone has the defaults below. A preset changes", "", *lines]) if lines else ""


def _parameters(params: type[Params]) -> str:
    rows = [
        (code(row["name"]), code(row["type"]), "required" if row["required"] else _default(row), row["description"])
        for row in parameter_rows(params, None)
    ]
    return table(["parameter", "type", "default", "meaning"], rows) if rows else ""


def _default(row: dict[str, Any]) -> str:
    text = as_text(row["default"])
    return code(text) if text else "empty"


def _figures(spec: ComponentSpec) -> str:
    found = measured.section(spec.kind, spec.name, _about)
    if not found:
        return ""
    what = "Of clean rows alone. " if spec.kind in ("dataset", "victim") else ""
    how = "[How to read these tables](../methods.md#measured-figures)."
    return f"{what}Means over n craft seeds. {how}\n\n{found}"


def _about(results: Path) -> str:
    """A link to the page about a results file: one in ``docs/results`` named after the board, else its README's."""
    board, version = results.parent.parts[-2:]
    named = DOCS / "results"
    pages = (named / f"{board}-{version}.md", named / f"{board}.md")
    page = next((path.relative_to(DOCS).as_posix() for path in pages if path.exists()), page_about(results))
    return os.path.relpath(page, METHODS) if page else ""
