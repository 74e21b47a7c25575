"""What installing other frameworks takes, from its record.

Replaces ``<!-- platforms: installed -->`` in a page by a table, which ``benchmarks/performance/platforms.py`` measures.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = "<!-- platforms: installed -->"
RECORD = DOCS / "_data" / "platforms.json"


def described() -> str:
    """The record as a table."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))
    lines = [[code(row["extra"]), row["version"], f"{row['seconds']:.0f}", f"{row['megabytes']:,}"] for row in rows]
    return table(["extra", "version", "seconds", "MB"], lines)


def inserted(text: str) -> str:
    return text.replace(MARKER, described()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
