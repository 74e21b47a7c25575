"""The columns of CSV files, from their descriptions in the code.

Replaces ``<!-- columns: PART -->`` in a page by a table of the columns of that part.
"""

from __future__ import annotations

import re
from typing import Any

from _ext.markdown import replace_markers, table
from ucbench.results.columns import BOARD, CHANGED, COST, MEASURED, REQUESTED, Column

MARKER = re.compile(r"<!-- columns: (\w+) -->")
PARTS: dict[str, tuple[Column, ...]] = {
    "requested": REQUESTED,
    "measured": MEASURED,
    "changed": CHANGED,
    "cost": COST,
    "leaderboard": BOARD,
}


def described(part: str) -> str:
    """The columns of a part as a table."""
    return table(
        ["column", "unit", "meaning"], [[f"`{column.name}`", column.unit, column.meaning] for column in PARTS[part]]
    )


def inserted(text: str) -> str:
    return MARKER.sub(lambda found: described(found[1]), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
