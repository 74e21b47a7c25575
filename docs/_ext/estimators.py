"""Bias and cost of the estimators, from the record that ``benchmarks/performance/estimators.py`` writes.

Replaces ``<!-- estimators: bias -->`` and ``<!-- estimators: cost -->`` in a page by a sentence and a table each.
"""

from __future__ import annotations

import json
import re
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = re.compile(r"<!-- estimators: (bias|cost) -->")
RECORD = DOCS / "_data" / "estimators.json"


def described(part: str) -> str:
    """One part of the record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return _bias(record) if part == "bias" else _cost(record)


def _bias(record: dict[str, Any]) -> str:
    rows = record["bias"]
    exact = list(dict.fromkeys(row["information"] for row in rows))
    lines: dict[tuple[str, int], list[str]] = {}
    for row in sorted(rows, key=lambda row: (_place(rows, row["estimator"]), row["pairs"], row["information"])):
        error = row["mean"] - row["information"]
        text = f"{error:+.3f} ({row['sd']:.3f})".replace(" ", "\N{NO-BREAK SPACE}")
        lines.setdefault((row["estimator"], row["pairs"]), []).append(text)
    how = (
        f"Mean error, and in parentheses the standard deviation of one estimate, in nats, over {record['sets']} sets of"
        " pairs of Gaussian variables."
    )
    header = ["estimator", "pairs", *(f"at {value:g} nats" for value in exact)]
    return f"{how}\n\n{table(header, [[code(name), str(n), *texts] for (name, n), texts in lines.items()])}"


def _place(rows: list[dict[str, Any]], estimator: str) -> int:
    return [row["estimator"] for row in rows].index(estimator)


def _cost(record: dict[str, Any]) -> str:
    machine = record["machine"]
    how = (
        f"Processor seconds on one core ({machine['processor']}), for {record['projections']} projections of"
        f" {record['features']} features; HSIC and CKA take the features whole."
    )
    sizes = list(dict.fromkeys(row["pairs"] for row in record["cost"]))
    seconds: dict[str, list[str]] = {}
    for row in record["cost"]:
        seconds.setdefault(row["measure"], []).append(f"{row['seconds']:.2g}")
    lines = [[code(name), *texts] for name, texts in seconds.items()]
    return f"{how}\n\n{table(['measure', *(f'{size:,} pairs' for size in sizes)], lines)}"


def inserted(text: str) -> str:
    return MARKER.sub(lambda found: described(found[1]), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
