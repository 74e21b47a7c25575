"""Small pieces of Markdown that the generators share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Text that stays within one cell of a table; non-breaking spaces stay."""
    return re.sub(r"[ \t\n]+", " ", text).strip(" ").replace("|", r"\|")


def code(text: str) -> str:
    """Text as inline code, or nothing."""
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of rows of text."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)
