"""Measure what many cells and records cost: a plan, a walk over cells that are done, the check of a board, and a site.

    python benchmarks/performance/scale.py [STEP ...] [--cells 10000] [--json FILE]

The cells are those of the suite ``photos-defenses`` with as many seeds as needed, their records those of the published
board with the facts of the cell. The site is made of imagined records (``tests/support/site_records.py``), in boards
of 960. Every step runs in a new process, whose peak memory is its own. Limits hold for 10,000 cells, and the exit code
is 1 if a step misses one.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ucbench.matrix import requests
from ucbench.matrix.cell import Cell
from ucbench.numerics import cpu_name, peak_memory, resolve
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.results.records import Record, read_records, record_path, to_json
from ucbench.running.tasks import facts, task_of
from ucbench.session import Session
from ucbench.steps import plan_session
from ucbench.store.store import Store

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "support"))

SUITE = "photos-defenses"
#: Records of one board of the site.
BOARD = 960


@dataclass(frozen=True)
class Step:
    """What is measured on a prepared folder, and its limits at 10,000 cells: seconds, and MiB of peak memory if any."""

    run: Callable[[Path, int], int]
    seconds: float
    memory: int | None


def session(root: Path) -> Session:
    """A session whose store is in ``root``."""
    return Session(Store(root / "store"), resolve("cpu", "float32", 1), Silent(), installed())


def cells(here: Session, count: int) -> list[Cell]:
    """The first ``count`` cells of the suite with enough seeds."""
    suite = requests.suite(SUITE)
    per_seed = len(requests.suite_cells(suite, here.registry, seed="0"))
    return requests.suite_cells(suite, here.registry, seed=f"0-{count // per_seed}")[:count]


def setting(request: Record) -> str:
    """What a request says beside its seeds."""
    return str([value for name, value in sorted(request.items()) if not name.endswith("_seed")])


def prepare(root: Path, count: int) -> None:
    """Write the records and the boards that the steps read, without waiting for the disk after each."""
    import site_records

    here = session(root)
    published = {setting(one["request"]): one for one in read_records(ROOT / "leaderboards" / SUITE / "v1")}
    (root / "board" / "records").mkdir(parents=True)
    for cell in cells(here, count):
        stated = facts(task_of(cell, here), here)
        record = {**published[setting(stated["request"])], **stated}
        record_path(root / "board", record["cell"]).write_text(to_json(record), encoding="utf-8")
    boards = round(count / BOARD)
    small = {} if boards else {"victims": 1, "methods": 2, "defenses": 2, "seeds": 2}
    site_records.many(root / "boards", max(boards, 1), **small)


# The steps import what they measure: planning and checking do without torch, which would count as their memory.


def plan(root: Path, count: int) -> int:
    here = session(root)
    return len(plan_session(cells(here, count), here))


def walk(root: Path, count: int) -> int:
    """Take every record from the result folder, as a finished run does that is called again."""
    from ucbench.running.executors.serial import Serial
    from ucbench.running.runner import run_cells

    class Nothing(Serial):
        def run(self, tasks: Any, *_: Any) -> None:
            raise AssertionError(f"{len(tasks)} cells have records and are to be computed nevertheless")

    here = session(root)
    return len(run_cells(cells(here, count), here, out=root / "board", executor=Nothing()))


def check(root: Path, count: int) -> int:
    from ucbench.leaderboard.check import audit

    here = session(root)
    found = audit(root / "board", cells(here, count), here.with_numerics, threads=1, complete=True)
    if wrong := found.texts("error"):
        raise AssertionError(wrong[0])
    return len(found.records)


def site(root: Path, count: int) -> int:
    from ucbench.leaderboard.site import build_site

    build_site(root / "boards", root / "site")
    return sum(1 for _ in (root / "boards").glob("*/*/records/*.json"))


STEPS = {
    "plan": Step(plan, 3, 500),
    "walk": Step(walk, 20, None),
    "check": Step(check, 60, 500),
    "site": Step(site, 60, 500),
}


def measured(name: str, root: Path, count: int) -> dict[str, Any]:
    """One step in this process."""
    started, spent = time.perf_counter(), time.process_time()
    items = STEPS[name].run(root, count)
    return {
        "items": items,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "peak_mib": peak_memory(resolve("cpu", "float32", 1)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", nargs="*", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    names = options.step or list(STEPS)
    if unknown := [name for name in names if name not in STEPS]:
        parser.error(f"no step {unknown[0]!r}; there are {', '.join(STEPS)}")
    rows = []
    print("| step | of | seconds | of them computing | peak memory, MiB | limit | met |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.cells)
        for name in names:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                row = pool.apply(measured, (name, Path(folder), options.cells))
            limit = STEPS[name]
            row["met"] = row["seconds"] <= limit.seconds and row["peak_mib"] <= (limit.memory or math.inf)
            rows.append({"step": name, **row, "limit_seconds": limit.seconds, "limit_mib": limit.memory})
            most = f", {limit.memory} MiB" if limit.memory else ""
            print(
                f"| {name} | {row['items']:,} | {row['seconds']} | {row['cpu_seconds']} | {row['peak_mib']} |"
                f" {limit.seconds:g} s{most} | {'yes' if row['met'] else 'no'} |",
                flush=True,
            )
    if options.json:
        found = {"processor": cpu_name(), "cells": options.cells, "rows": rows}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
