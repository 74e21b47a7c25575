"""What `ucbench protect` leaves of an exploiter's accuracy, and what it costs, from records of two benchmarks.

Replaces, in a page, ``<!-- photo effect -->`` by a sentence and a table (``benchmarks/protection.py``), and
``<!-- photo cost -->`` likewise (``benchmarks/protection_size.py``).
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import replace_markers, table
from _ext.paths import DOCS
from ucbench.results.statistics import t_interval

RECORD, COSTS = DOCS / "_data" / "protection.json", DOCS / "_data" / "protection_size.json"
RELEASES = {"clean": "the photos", "sham": "copies with plain noise", "protected": "protected copies"}


def described() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    poisoner = f"`{record['poisoner']}` (version {record['version']})"
    how = (
        f"Test accuracy in % of {record['victim']} trained on {record['photos']} photos of {record['classes']} classes,"
        f" resized to {record['size']} pixels, and tested on {record['test']} unchanged ones. Copies were made at full"
        f" size, with patterns of {record['pattern']} pixels by {poisoner}, and differ by at most"
        f" {record['epsilon']:g} levels before any JPEG. Means over trainings, each on copies with patterns of their"
        " own, with 95 % intervals and, in parentheses, their number."
    )
    columns = {False: "as written", True: f"all as JPEG {record['quality']}"}
    tried = {(row["release"], row["jpeg"]) for row in record["trainings"]}
    shown = [jpeg for jpeg in columns if all((release, jpeg) in tried for release in RELEASES)]
    rows = []
    for release, name in RELEASES.items():
        found = [
            [row["accuracy"] for row in record["trainings"] if (row["release"], row["jpeg"]) == (release, jpeg)]
            for jpeg in shown
        ]
        rows.append([name, *(f"{t_interval(accuracies).text()} ({len(accuracies)})" for accuracies in found)])
    return f"{how}\n\n{table(['trained on', *(columns[jpeg] for jpeg in shown)], rows)}"


def cost() -> str:
    """Time and memory of folders, as Markdown."""
    folders = json.loads(COSTS.read_text(encoding="utf-8"))
    machine = folders[0]["machine"]
    how = (
        f"One process with one thread on {machine['processor']} ({machine['dtype']}), beside other work, all else by"
        " default: patterns, copies, their measurement and the report."
    )
    rows = [
        [
            f"{row['photos']:,}", f"{row['largest_megapixels']:.3g}", f"{row['megapixels']:,.0f}",
            f"{row['processor_seconds'] / 60:,.0f}", f"{row['memory_mib'] / 1024:.1f}", str(row["largest_change"]),
            row.get("run", "whole"),
        ]
        for row in folders
    ]  # fmt: skip
    header = [
        "photos",
        "megapixels, largest",
        "of all",
        "processor minutes",
        "memory, GiB",
        "largest change, levels",
        "run",
    ]
    return f"{how}\n\n{table(header, rows)}"


MARKERS = {"<!-- photo effect -->": described, "<!-- photo cost -->": cost}


def inserted(text: str) -> str:
    for marker, text_of in MARKERS.items():
        if marker in text:
            text = text.replace(marker, text_of())
    return text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
