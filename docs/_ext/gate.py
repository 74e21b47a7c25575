"""The conditions of the gate, from the code that judges by them.

Replaces ``<!-- gate -->`` in a page by a list.
"""

from __future__ import annotations

from typing import Any

from _ext.markdown import replace_markers
from ucbench.results.gate import CONDITIONS

MARKER = "<!-- gate -->"


def inserted(text: str) -> str:
    return text.replace(MARKER, ";\n".join(f"- {condition.described}" for condition in CONDITIONS) + ".")


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
