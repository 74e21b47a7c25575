"""What `ucbench protect` leaves of an exploiter's accuracy, from the record of ``benchmarks/protection.py``.

Replaces ``<!-- photo effect -->`` in a page by a sentence and a table.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import replace_markers, table
from _ext.paths import DOCS
from ucbench.results.statistics import t_interval

MARKER = "<!-- photo effect -->"
RECORD = DOCS / "_data" / "protection.json"
RELEASES = {"clean": "the photos", "sham": "copies with plain noise", "protected": "protected copies"}


def described() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    how = (
        f"Test accuracy in % of {record['victim']} trained on {record['photos']} photos of {record['classes']} classes,"
        f" resized to {record['size']} pixels, and tested on {record['test']} unchanged ones. Copies were made at full"
        f" size, with patterns of {record['pattern']} pixels by `{record['poisoner']}`, and differ by at most"
        f" {record['epsilon']:g} levels before any JPEG. Means over trainings, each on copies with patterns of"
        " their own, with 95 % intervals and, in parentheses, their number."
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


def inserted(text: str) -> str:
    return text.replace(MARKER, described()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted, "protect")
