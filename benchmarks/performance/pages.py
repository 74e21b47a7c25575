"""Bytes and load times of a built site, for the heaviest page of every type.

    ucbench leaderboard site leaderboards --out site
    python benchmarks/performance/pages.py site [--json FILE] [--repeats 5]

Every load is one of a new browser context, without a cache: from files, and from a web server on this machine that does
not compress. Bytes are of all files that the page loads before anyone scrolls. Milliseconds are the browser's, from the
start of navigation to DOMContentLoaded and to the end of load, and the processor time of the page's main thread until
then, which other work on the machine changes little. The record has median and least of the repeats. Needs playwright
and Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, sync_playwright

from ucbench.numerics import cpu_name

#: Types of pages, with the files that are of each.
TYPES = {
    "home": "index.html",
    "board": "boards/*/index.html",
    "all results of a board": "boards/*/results.html",
    "cells of a board": "boards/*/cells.html",
    "a cell": "boards/*/cells/*.html",
    "poisoner": "poisoners/*.html",
    "defense": "defenses/*.html",
    "compare": "compare.html",
    "how to read": "read.html",
}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TIMES = """() => {
    const {domContentLoadedEventEnd, loadEventEnd} = performance.getEntriesByType("navigation")[0];
    return [domContentLoadedEventEnd, loadEventEnd];
}"""
_SOURCE = re.compile(r' src="([^":]+)"')


def heaviest(site: Path, pattern: str) -> Path:
    """The page with the most bytes, images that are loaded late included.

    Raises:
        ValueError: if the site has no such page.
    """
    return max(site.glob(pattern), key=_weight)


def _weight(page: Path) -> int:
    sources = (page.parent / name for name in set(_SOURCE.findall(page.read_text(encoding="utf-8"))))
    return page.stat().st_size + sum(source.stat().st_size for source in sources if source.is_file())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site's address on a web server, without a slash at its end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Load(NamedTuple):
    """Bytes of all files that a page loads; milliseconds to DOMContentLoaded and load; of its main thread's work."""

    bytes: float
    ready_ms: float
    load_ms: float
    processor_ms: float


def load(browser: Browser, address: str) -> Load:
    """Open the page in a new context."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    session, received = context.new_cdp_session(page), []
    session.on("Network.dataReceived", lambda event: received.append(event["dataLength"]))
    session.send("Network.enable")
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address, wait_until="load")
    page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    ready, loaded = page.evaluate(_TIMES)
    page.wait_for_load_state("networkidle")  # images in view that the page does not wait for
    context.close()
    return Load(sum(received), ready, loaded, 1000 * metrics["TaskDuration"])


def measured(browser: Browser, site: Path, types: Mapping[str, str], repeats: int) -> Iterator[dict[str, Any]]:
    """A row for every type of page."""
    with served(site) as server:
        for name, pattern in types.items():
            page = heaviest(site, pattern)
            path = page.relative_to(site).as_posix()
            ways: dict[str, list[Load]] = {"file": [], "http": []}
            for _ in range(repeats):  # in turn, so that a busy moment does not fall on one of them
                ways["file"].append(load(browser, page.as_uri()))
                ways["http"].append(load(browser, f"{server}/{path}"))
            yield {"type": name, "page": path} | {way: _summary(loads) for way, loads in ways.items()}


def _summary(loads: Sequence[Load]) -> dict[str, dict[str, int]]:
    columns = zip(Load._fields, zip(*loads, strict=True), strict=True)
    return {name: {"median": round(statistics.median(values)), "least": round(min(values))} for name, values in columns}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="folder that `ucbench leaderboard site` wrote")
    parser.add_argument("--json", type=Path, help="file for the record, such as docs/_data/pages.json")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    site, rows = options.site.resolve(), []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as empty:
        Path(empty, "empty.html").write_text('<!doctype html><link rel="icon" href="data:,">', encoding="utf-8")
        # Containers let nobody but root run, and root runs Chromium only without its sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        load(browser, heaviest(site, TYPES["home"]).as_uri())  # the browser's own start
        for folder, types in ((Path(empty), {"an empty page": "empty.html"}), (site, TYPES)):
            for row in measured(browser, folder, types, options.repeats):
                rows.append(row)
                print(row, flush=True)
        about = {
            "processor": cpu_name(),
            "processors": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "chromium": browser.version,
            "boards": len(list(site.glob(TYPES["board"]))),
        }
        browser.close()
    if options.json:
        report = {**about, "repeats": options.repeats, "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
