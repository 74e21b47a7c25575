"""Markdown helpers of the generators, and their connection to Sphinx."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def cell(text: str) -> str:
    """Text for one cell of a table, with line ends as spaces; keeps non-breaking spaces."""
    return re.sub(r"[ \t\n]+", " ", text).strip(" ").replace("|", r"\|")


def code(text: str) -> str:
    """Text as inline code; empty for empty text."""
    return f"`{text}`" if text else ""


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring in reStructuredText, as Markdown and without its stop."""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    plain = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", paragraph.replace("``", "`"))
    return plain.partition(". ")[0].rstrip(".")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of rows of text."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)


def replace_markers(app: Any, inserted: Callable[[str], str]) -> dict[str, bool]:
    """Connect ``inserted``, which replaces a generator's markers in a text, to Sphinx; returns an extension's metadata.

    Pages with a marker are read again in every build, since the generated text may have changed.
    """

    def insert(app: Any, docname: str, source: list[str]) -> None:
        source[0] = inserted(source[0])

    def marked(app: Any, env: Any, *changes: Any) -> list[str]:
        texts = {name: Path(env.doc2path(name)).read_text(encoding="utf-8") for name in env.found_docs}
        return [name for name, text in texts.items() if inserted(text) != text]

    app.connect("source-read", insert)
    app.connect("env-get-outdated", marked)
    return {"parallel_read_safe": True}
