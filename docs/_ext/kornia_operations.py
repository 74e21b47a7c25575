"""Our operations beside kornia's, from the record that ``benchmarks/performance/kornia_operations.py`` writes.

Replaces ``<!-- kornia operations -->`` in a page by a sentence about the machine and a table.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = "<!-- kornia operations -->"
RECORD = DOCS / "_data" / "kornia_operations.json"


def compared() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    machine, versions = record["machine"], record["machine"]["versions"]
    batches = " and ".join(f"{count} images of {side} pixels" for count, side in record["batches"])
    how = (
        f"Batches of {batches}, {machine['processor']}, one thread, torch {versions['torch']}, kornia"
        f" {versions['kornia']}; the best of {record['repeats']} calls of each side in turn, in processor time."
    )
    sides = [str(side) for _, side in record["batches"]]
    header = ["operation", "kornia", "equal within", *(f"{side} px: ours / kornia" for side in sides), "used", "why"]
    rows = [
        [
            row["name"],
            code(row["kornia"]),
            _difference(row),
            *(_speeds(row["ours_per_second"][side], row["kornia_per_second"][side]) for side in sides),
            row["used"],
            row["why"],
        ]
        for row in record["rows"]
    ]
    return f"{how}\n\n{table(header, rows)}"


def _difference(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return "draws differ"
    largest = row["difference"]
    amount = f"{largest:.0f}" if largest == 0 or largest >= 1 else f"{max(largest, 0.001):.1g}"
    share = f" ({100 * row['differing']:.2g} % of values by 0.5 or more)" if row["differing"] else ""
    return f"{amount} {row['unit']}{share}".replace(" ", "\N{NO-BREAK SPACE}", 1)


def _speeds(ours: float, kornia: float) -> str:
    return f"{_rounded(ours)} / {_rounded(kornia)} ({kornia / ours:.2f})".replace(" ", "\N{NO-BREAK SPACE}")


def _rounded(speed: float) -> str:
    return f"{float(f'{speed:.3g}'):,.0f}"


def inserted(text: str) -> str:
    return text.replace(MARKER, compared()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
