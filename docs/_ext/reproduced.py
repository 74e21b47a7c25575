"""Published figures beside those of our leaderboards.

Replaces ``<!-- reproduced: POISONER -->`` in a page by two tables: what was published of the poisoner, and what
``leaderboards`` hold of it, held-out parts of training sets left out. Published figures are kept by hand in
``docs/_data/published.csv``, which `ucbench leaderboard diff` reads as well; its column ``method`` is ours.
"""

from __future__ import annotations

import csv
import re
from typing import Any

from _ext import measured
from _ext.markdown import replace_markers, table
from _ext.paths import DOCS
from ucbench.plugins.builtin import CLEAN

MARKER = re.compile(r"<!-- reproduced: ([\w-]+) -->")
PUBLISHED = DOCS / "_data" / "published.csv"


def published(poisoner: str) -> list[dict[str, str]]:
    """The published rows of a poisoner, with the clean accuracy of the same table, if any, as ``clean``."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    clean = {_table_of(row): row["value"] for row in rows if row["method"] == CLEAN}
    return [{**row, "clean": clean.get(_table_of(row), "")} for row in rows if row["method"] == poisoner]


def _table_of(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("paper", "table", "dataset", "victim"))


def beside(poisoner: str) -> str:
    """The two tables as Markdown."""
    rows = published(poisoner)
    used = {name: heading for name, heading in _COLUMNS.items() if any(row[name] for row in rows)}
    first = table(list(used.values()), [[_shown(row[name]) for name in used] for row in rows])
    ours = measured.undefended(poisoner)
    return f"{first}\n\nHere:\n\n{ours}" if ours else f"{first}\n\nHere: not run."


_COLUMNS = {
    "paper": "published by",
    "poisoner": "called",
    "dataset": "data",
    "eps": "budget",
    "victim": "victim",
    "clean": "clean %",
    "value": "test accuracy %",
    "setting": "setting",
}


def _shown(text: str) -> str:
    words = {"RN18": "ResNet-18"}
    return words.get(text, text).replace("±", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def inserted(text: str) -> str:
    """``text`` with the tables in place of their markers; ``<!-- regimes -->`` gives all training regimes."""
    return MARKER.sub(lambda found: beside(found[1]), text.replace("<!-- regimes -->", measured.regimes()))


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
