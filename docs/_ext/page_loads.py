"""What the pages of the site weigh and how fast they load, from the record of ``benchmarks/performance/pages.py``.

Replaces ``<!-- page loads -->`` in a page by a sentence and a table.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS

MARKER = "<!-- page loads -->"
RECORD = DOCS / "_data" / "pages.json"


def shown() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    how = (
        f"The heaviest page of every type, of a site of {record['boards']} boards, in Chromium {record['chromium']} on"
        f" {record['processors']} cores ({record['processor']}), whose load average was {record['load_average']}:"
        f" medians of {record['repeats']} loads without a cache, and in parentheses the least."
    )
    rows = []
    for row in record["rows"]:
        file, http = row["file"], row["http"]
        times = [http["processor_ms"], file["ready_ms"], file["load_ms"], http["ready_ms"], http["load_ms"]]
        texts = [f"{time['median']} ({time['least']})" for time in times]
        rows.append([row["type"], code(row["page"]), f"{http['bytes']['median'] / 1000:,.0f}", *texts])
    header = ["type", "page", "kB", "processor, ms", "file: ready, ms", "loaded, ms", "server: ready, ms", "loaded, ms"]
    return f"{how}\n\n{table(header, rows)}"


def inserted(text: str) -> str:
    return text.replace(MARKER, shown()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
