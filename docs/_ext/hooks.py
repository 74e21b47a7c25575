"""The reference of the hooks, read off their specifications.

Replaces ``<!-- hooks -->`` in a page by a section for every hook with its arguments.
"""

from __future__ import annotations

import inspect
from typing import Any

from ucbench.plugins import hookspecs

MARKER = "<!-- hooks -->"


def reference() -> str:
    """All hooks as Markdown, in the order of their module."""
    found = [
        (name, function)
        for name, function in vars(hookspecs).items()
        if inspect.isfunction(function) and hasattr(function, f"{hookspecs.PROJECT}_spec")
    ]
    return "\n\n".join(
        f"### `{name}({', '.join(inspect.signature(function).parameters)})`\n\n{inspect.getdoc(function)}"
        for name, function in found
    )


def _insert(app: Any, docname: str, source: list[str]) -> None:
    if MARKER in source[0]:
        source[0] = source[0].replace(MARKER, reference())


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _insert)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: ["api"])
    return {"parallel_read_safe": True}
