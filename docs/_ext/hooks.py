"""The reference of the hooks, generated from their specifications.

Replaces ``<!-- hooks -->`` in a page by a section for every hook with its arguments.
"""

from __future__ import annotations

import inspect
from typing import Any

from _ext.markdown import replace_markers
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


def inserted(text: str) -> str:
    return text.replace(MARKER, reference()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted, "api")
