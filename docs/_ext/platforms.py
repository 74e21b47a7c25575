"""What installing other frameworks takes, and a trial of their victims on digits, from the record of both.

Replaces ``<!-- platforms: installed -->`` and ``<!-- platforms: digits -->`` in a page by a table each.
``benchmarks/performance/platforms.py`` writes the record.
"""

from __future__ import annotations

import json
import re
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = re.compile(r"<!-- platforms: (installed|digits) -->")
RECORD = DOCS / "_data" / "platforms.json"


def described(part: str) -> str:
    """One part of the record as a table."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))[part]
    return _installed(rows) if part == "installed" else _digits(rows)


def _installed(rows: list[dict[str, Any]]) -> str:
    lines = [[code(row["extra"]), row["version"], f"{row['seconds']:.0f}", f"{row['megabytes']:,}"] for row in rows]
    return table(["extra", "version", "seconds", "MB"], lines)


def _digits(rows: list[dict[str, Any]]) -> str:
    poisoners = list(dict.fromkeys(row["poisoner"] for row in rows))
    accuracy = {(row["victim"], row["poisoner"]): f"{row['accuracy']:.1f}" for row in rows}
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row["victim"], []).append(row["seconds"])
    lines = [
        [code(victim), *(accuracy.get((victim, poisoner), "") for poisoner in poisoners), f"{min(times):.0f}"]
        for victim, times in seconds.items()
    ]
    return table(["victim", *(f"{code(poisoner)} %" for poisoner in poisoners), "seconds"], lines)


def inserted(text: str) -> str:
    return MARKER.sub(lambda found: described(found[1]), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
