"""What ucbench costs beside official code, from records of ``benchmarks/performance/compare.py --official``.

Replaces, in a page, ``<!-- speed official -->`` by a sentence about the machine and a table.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = "<!-- speed official -->"
#: A file per width of the network, all of one machine.
RECORDS = DOCS / "_data" / "official"


def official() -> str:
    """Images per second of official step functions and ours."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    machine, flags = records[0]["machine"], records[0]["flags"]
    if any(record["machine"] != machine for record in records):
        raise ValueError(f"{RECORDS.name}: records of several machines are no table")
    how = (
        f"{machine['processor']} ({', '.join(map(code, flags))}), {machine['threads']} threads, torch"
        f" {machine['versions']['torch']}; ours in {machine['dtype']}, theirs in float32. Images of"
        f" {records[0]['sizes']['side']} pixels; ResNet-18 of the width given, 64 in the literature. The best of the"
        " repeats of each side, in turn."
    )
    header = ["what", "width", "official, images/s", "ours, images/s", "ratio", "goal", "largest difference"]
    rows = [line(row, record["sizes"]["width"]) for record in records for row in record["rows"]]
    return f"{how}\n\n{table(header, rows)}"


def line(row: dict[str, Any], width: int) -> list[str]:
    """A row of the table."""
    if "problem" in row:
        raise ValueError(f"{row['title']} failed: {row['problem']}")
    sides = [row[side] for side in ("plain", "ucbench")]
    goal = f"{row['target']['at_least']:g}: {'met' if row['met'] else 'not met'}" if row["target"] else ""
    difference = f"{row['agrees']['largest_difference']:.0e}" + ("" if row["agrees"]["yes"] else ", too large")
    if not sides[1]["notes"].get("reached", True):
        return [row["title"], "", "", "", "", "not judged: theirs had no effect", difference]
    speeds = [f"{side['images_per_second']:,.0f}" for side in sides]
    # The network of UC is no ResNet-18.
    shown = "" if row["subject"].startswith("uc") else str(width)
    return [row["title"], shown, *speeds, f"{row['ratio']:.2f}", goal, difference]


def inserted(text: str) -> str:
    return text.replace(MARKER, official()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted, "speed")
