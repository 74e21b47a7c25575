"""A page for every method that comes with ucbench, made from its spec, its parameters and the published results.

Writes ``docs/methods/<kind>-<name>.md`` while building, and replaces ``<!-- methods: KIND -->`` in a page by a table
of the methods of that kind, ``<!-- suites -->`` by one of the suites. Only what the distribution ``ucbench`` registers
is described; other installed plugins bring their own documentation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.method_page import page
from _ext.paths import METHODS, write_pages
from ucbench.matrix.suite import load_suite, shipped_suites
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec

MARKER = re.compile(r"<!-- methods: (\w+) -->")
SUITES = "<!-- suites -->"


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
    return replace_markers(app, inserted)
