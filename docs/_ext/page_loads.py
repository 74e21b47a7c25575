"""What the pages of the site weigh and how fast they load, from the record of ``benchmarks/performance/pages.py``.

Replaces ``<!-- page loads -->`` in a page by a sentence and a table. Rows of pages that the site of the published
boards no longer has are left out.
"""

from __future__ import annotations

import csv
import functools
import json
from typing import Any

from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS, LEADERBOARDS
from ucbench.leaderboard.site.addresses import cell_page, method_page
from ucbench.leaderboard.site.boards import find_boards
from ucbench.leaderboard.site.terms import PAGE
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.plugins.grammar import base_name, parse_chain

MARKER = "<!-- page loads -->"
RECORD = DOCS / "_data" / "pages.json"
#: The page that shows what a load takes at least; no page of the site.
EMPTY = "empty.html"


@functools.cache
def site_pages() -> frozenset[str]:
    """The pages of the site of the published boards, which takes half a minute to build."""
    pages = {"index.html", "compare.html", "submit.html", PAGE}
    for board in find_boards(LEADERBOARDS)[0]:
        cells = (cell_page(path.stem) for path in (board.path / "records").glob("*.json"))
        pages.update(f"boards/{board.slug}/{page}" for page in ("index.html", "results.html", "cells.html", *cells))
        with (board.path / "results.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        pages.update(method_page("poisoner", base_name(name)) for name in {row["poisoner"] for row in rows} - {CLEAN})
        chains = {row["defense"] for row in rows} - {NO_DEFENSE}
        pages.update(method_page("defense", part.name) for chain in chains for part in parse_chain(chain))
    return frozenset(pages)


def shown() -> str:
    """The record as Markdown."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    now = len(find_boards(LEADERBOARDS)[0])
    later = "" if now == record["boards"] else f" (an earlier one: now there are {now})"
    how = (
        f"The heaviest page of each of these types, of a site of {record['boards']} boards{later}, in Chromium"
        f" {record['chromium']} on {record['processors']} cores ({record['processor']}), whose load average was"
        f" {record['load_average']}: medians of {record['repeats']} loads without a cache; the least in parentheses."
    )
    rows = []
    for row in record["rows"]:
        if row["page"] not in site_pages() | {EMPTY}:
            continue
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
