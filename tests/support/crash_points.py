"""Run three small cells again and again, with a fault in another file operation each time, and once more without.

A program, so that its processes are forked from one that has imported and computed everything once and has no threads
of other tests: ``crash_points.py EXECUTOR SAMPLE FOLDER [SECONDS]`` prints what fell through as JSON; 0 tries all
points in random order, at most for SECONDS. FOLDER holds one disturbed run at a time.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from faults import CRASHED, WAYS, Fault, Faults

from ucbench.errors import StoreError
from ucbench.progress import Silent
from ucbench.session import Session
from ucbench.steps import run_session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells, small_registry
from ucbench.testing.samples import NUMERICS

#: Exit codes of a run, beside CRASHED.
DONE, REFUSED, BROKEN = 0, 1, 3
#: Seconds after which a run hangs.
PATIENCE = 120


def compute(folder: Path, executor: str) -> None:
    session = Session(Store(folder / "store"), NUMERICS, Silent(), small_registry())
    records = run_session(small_cells("spots", seeds=1), session, out=folder / "out", executor=executor)
    assert {record["status"] for record in records} == {"ok"}


def child(folder: Path, executor: str, faults: Faults) -> int:
    """The exit code of a run in this process, which ends with it."""
    os.setsid()
    # Workers that are forked start at once, and inherit the fault.
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment]
    faults.install()
    try:
        compute(folder, executor)
    except StoreError:
        return REFUSED
    return DONE


def run(folder: Path, executor: str, fault: Fault | None = None) -> tuple[int | str, dict[str, int]]:
    """The exit code of a run in a process of its own, and the number of its file operations by process."""
    faults = Faults(folder, fault)
    process = os.fork()
    if process == 0:
        code = BROKEN
        try:
            code = child(folder, executor, faults)
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    deadline = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return "hangs", faults.counts()
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(ended[1]), faults.counts()


def numbers(folder: Path) -> list[dict[str, Any]]:
    """The records, without what is particular to a run."""
    records = [json.loads(path.read_text()) for path in sorted((folder / "out" / "records").glob("*.json"))]
    return [{name: value for name, value in one.items() if name not in ("cost", "environment")} for one in records]


def paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def try_points(root: Path, executor: str, sample: int, seconds: float = float("inf")) -> dict[str, Any]:
    """The problems, the number of points, and how the disturbed runs ended."""
    calm = root / "calm"
    calm.mkdir()
    code, counts = run(calm, executor)
    assert code == DONE, code
    points = [Fault(process, number, way) for way in WAYS for process in counts for number in range(counts[process])]
    draw, until, tried = random.Random(0), time.monotonic() + seconds, 0
    chosen = draw.sample(points, len(points))
    if sample:  # as many of each way
        count = len(points) // len(WAYS)
        ways = [points[start : start + count] for start in range(0, len(points), count)]
        chosen = [fault for way in ways for fault in draw.sample(way, sample // len(WAYS))]
    problems, ends = [], Counter[str]()
    for fault in chosen:
        if time.monotonic() > until:
            break
        folder, tried = root / str(tried), tried + 1
        folder.mkdir()
        code, _ = run(folder, executor, fault)
        again, _ = run(folder, executor)
        ends[str(code)] += 1
        if code not in (DONE, REFUSED, CRASHED):
            problems.append(f"{fault}: ended with {code}")
        if again != DONE:
            problems.append(f"{fault}: the next run ended with {again}")
        elif numbers(folder) != numbers(calm):
            problems.append(f"{fault}: other numbers")
        # Who held a lock when it was killed stays written beside the lock, until the next holder.
        elif left := {path for path in paths(folder) - paths(calm) if not path.endswith(".holder")}:
            problems.append(f"{fault}: left over {sorted(left)}")
        # A cell whose record was written need not be in the store.
        elif missing := {path for path in paths(calm) - paths(folder) if not path.startswith("store/objects/cell")}:
            problems.append(f"{fault}: without {sorted(missing)}")
        shutil.rmtree(folder)
    return {"points": len(points), "tried": tried, "ends": ends, "problems": problems, "operations": counts}


if __name__ == "__main__":
    root = Path(sys.argv[3])
    compute(root / "warm", "serial")
    print(json.dumps(try_points(root, sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[4:]))))
