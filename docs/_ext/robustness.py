"""How often the tests tried what, and what fell through, from the report that they write.

Replaces ``<!-- robustness -->`` in a page by a table. ``UCBENCH_TEST_NIGHTLY=1
UCBENCH_TEST_REPORT=docs/_data/robustness.json pytest`` writes the report; what a test does not run stays as it was.
"""

from __future__ import annotations

import json
from typing import Any

from _ext.markdown import replace_markers, table
from _ext.paths import DOCS

MARKER = "<!-- robustness -->"
REPORT = DOCS / "_data" / "robustness.json"
#: By the name of the trials: what is tried, and how.
TRIED = {
    "records": ("records", "values replaced, removed, renamed, exchanged; bytes cut or changed; links, pipes, devices"),
    "submissions": ("hashes, fingerprints, suites and tables of a submission", "the same, and names that lead outside"),
    "suites": ("suite files", "lines removed, repeated, exchanged; values of other types; bytes cut or changed"),
    "releases in the store": ("releases in the store", "arrays and manifests changed, with their hashes computed anew"),
    "data sets, imagefolder": ("folders of images", "files and folders renamed, moved, copied, linked, cut, damaged"),
    "data sets, parquet": ("parquet files", "the same, and columns of other types, lists, nulls, missing shards"),
    "faults in file operations, serial": ("runs in one process", "killed at a file operation, or an error of one"),
    "faults in file operations, process": ("runs with a worker process", "the same, in driver or worker"),
    "attacks on a board": ("boards of honest records", "one statement forged, the tables built anew from it"),
}


def shown() -> str:
    """The report as Markdown, in the order of :data:`TRIED`; what was not tried is left out."""
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    rows = []
    for name in filter(report.get, TRIED):
        (what, how), numbers = TRIED[name], report[name]
        tried = f"{numbers['tried']:,}" + (f" of {numbers['of']:,}" if numbers["of"] > numbers["tried"] else "")
        rows.append([what, how, tried, str(numbers["at_first"]), str(numbers["fell_through"])])
    return table(["tried on", "how", "inputs", "fell through at first", "now"], rows)


def inserted(text: str) -> str:
    return text.replace(MARKER, shown()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
