"""Several processes on one store: each piece of work is done once."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import tiny_components as tiny

from ucbench.matrix.matrix import Request, expand
from ucbench.results.records import read_records
from ucbench.running.runner import run_cells


def compute(folder: Path, reverse: bool) -> None:
    """What each process does: the same cells, from either end, once all processes are there."""
    registry = tiny.registry()
    cells = expand(Request(["spots"], ["stripes", "badge"], ["tiny"], ["original", "shifted"]), registry)
    (folder / f"ready-{reverse}").touch()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("ready-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    records = run_cells(cells[::-1] if reverse else cells, tiny.session(folder / "store", registry), out=folder / "out")
    assert {record["status"] for record in records} == {"ok"}


def test_concurrent_runs_craft_and_train_each_cell_once(tmp_path, tiny_log):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=compute, args=(tmp_path, reverse)) for reverse in (False, True)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    done = tiny.work_done()
    assert {line: done[line] for line in ("craft stripes", "craft badge", "train TinyNet")} == {
        "craft stripes": 1,
        "craft badge": 1,
        "train TinyNet": 8,
    }
    assert len(list(read_records(tmp_path / "out"))) == 8
