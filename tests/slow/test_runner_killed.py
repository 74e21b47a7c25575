"""A driver that is killed again and again loses nothing: what it ends with is what an undisturbed run gives."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import tiny_components as tiny

from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins.registry import Registry
from ucbench.results.records import read_records
from ucbench.results.table import rows, to_csv
from ucbench.running.executors.process import Processes, ProcessParams
from ucbench.running.runner import run_cells

#: What a record says of the circumstances, and not of the cell.
CIRCUMSTANCES = ("cost", "environment")
CELLS = 2 * 4
pytestmark = pytest.mark.slow


@functools.lru_cache(maxsize=1)
def registry() -> Registry:
    """The tiny components, where workers find them too."""
    return Registry(tiny.registry().plugins, registry)


def cells() -> list[Cell]:
    return expand(Request(["spots"], ["stripes", "badge"], ["tiny"], ["original", "shifted"]), registry())


def work(folder: Path, workers: int, log: str) -> None:
    """The run that is killed; it starts a session, so that its workers die with it."""
    os.setsid()
    os.environ["TINY_LOG"] = log  # the server's environment is that of the first test
    executor = Processes(ProcessParams(workers=workers)) if workers else None
    run_cells(cells(), tiny.session(folder / "store", registry()), out=folder / "out", executor=executor)


def lines() -> int:
    return sum(tiny.work_done().values())


def run_killing(folder: Path, workers: int, kills: int) -> int:
    """Run until the run ends by itself, after ``kills`` kills at random points; the number that struck."""
    chance = random.Random(workers)
    # Children of a server that has imported what takes seconds and has no threads: they start at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "ucbench.running.runner", "ucbench.training", "ucbench.running.executors.process"]
    )
    struck = 0
    while True:
        process = context.Process(target=work, args=(folder, workers, os.environ["TINY_LOG"]))
        target = lines() + chance.randint(1, 3)
        process.start()
        if struck == kills:
            process.join()
            assert process.exitcode == 0
            return struck
        while process.is_alive() and lines() < target:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.01)
        if not process.is_alive():
            return struck
        # The whole session: a killed machine takes the workers with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        struck += 1


def results(folder: Path) -> list[dict]:
    records = [{k: v for k, v in record.items() if k not in CIRCUMSTANCES} for record in read_records(folder / "out")]
    return sorted(records, key=lambda record: record["cell"])


def table(folder: Path) -> str:
    found = rows(read_records(folder / "out"))
    return to_csv(found.assign(seconds=None, craft_seconds=None, images_per_second=None))


@pytest.mark.parametrize("workers", [0, 2])
def test_run_equals_an_undisturbed_run_after_random_kills(tmp_path, tiny_log, workers):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    run_cells(cells(), tiny.session(calm / "store", registry()), out=calm / "out")
    assert len(results(calm)) == CELLS

    (tmp_path / "log").unlink()
    struck = run_killing(rough, workers, kills=2)
    assert struck == 2
    assert results(rough) == results(calm)
    assert table(rough) == table(calm)
    # A kill costs what was being made at that moment, never what was finished.
    assert tiny.work_done()["train TinyNet"] <= CELLS + struck * max(1, workers)
    leftovers = [path for path in (rough / "out").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert not [path for path in leftovers if path.name != "results.csv"]
