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


def shown() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    how = (
        f"Test accuracy in % of {record['victim']} trained on {record['photos']} photos of {record['classes']} classes,"
        f" resized to {record['size']} pixels, and tested on {record['test']} unchanged ones. The copies differ by at"
        " most 8 levels and were made at full size. Means over trainings, each on copies with patterns of their own,"
        " with 95 % intervals."
    )
    rows = []
    for release, name in RELEASES.items():
        cells = []
        for jpeg in (False, True):
            found = [row for row in record["trainings"] if (row["release"], row["jpeg"]) == (release, jpeg)]
            interval = t_interval(row["accuracy"] for row in found)
            cells.append(f"{interval.text()} ({interval.n})" if found else "")
        rows.append([name, *cells])
    header = ["trained on", "as written", f"all as JPEG {record['quality']}"]
    return f"{how}\n\n{table(header, rows)}"


def inserted(text: str) -> str:
    return text.replace(MARKER, shown()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted, "protect")
