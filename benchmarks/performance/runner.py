"""Measure the cost of the runner: compute many tiny cells, and the gain of two workers.

    python benchmarks/performance/runner.py [--cells 400] [--workers 2]

The cells are those of ``ucbench.testing``: thirteen images and a linear layer. Prints JSON. ``scale.py`` measures what
many cells cost that are not computed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucbench.numerics import cpu_name, resolve
from ucbench.progress import Silent
from ucbench.running.executors.process import Processes, ProcessParams
from ucbench.running.executors.serial import Serial
from ucbench.running.runner import run_cells
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells, small_registry

#: Each seed has a clean, a sham and a poisoned cell, since references count too.
CELLS_PER_SEED = 3


@contextmanager
def timed(measurements: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    measurements[name] = round(time.perf_counter() - started, 3)


def measure(count: int, workers: int, root: Path) -> dict[str, float]:
    """Seconds of each part."""
    measurements: dict[str, float] = {}
    numerics = resolve("cpu", "float32", 1)

    def session(name: str) -> Session:
        return Session(Store(root / name), numerics, Silent(), small_registry())

    some = small_cells("spots", seeds=count // CELLS_PER_SEED)
    with timed(measurements, "serial_seconds"):
        records = run_cells(some, session("serial"), out=root / "out", executor=Serial())
    with timed(measurements, "process_seconds"):
        run_cells(some, session("process"), executor=Processes(ProcessParams(workers=workers)))
    training = sum(record["cost"]["train_seconds"] for record in records)
    serial, process = measurements["serial_seconds"], measurements["process_seconds"]
    measurements["overhead_milliseconds_a_cell"] = round(1000 * (serial - training) / len(some), 2)
    measurements["speed_up_of_workers"] = round(serial / process, 2)
    return {"cells": len(some), "workers": workers, **measurements}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measurements = measure(options.cells, options.workers, Path(folder))
    print(json.dumps({"cpu": cpu_name(), **measurements}, indent=2))


if __name__ == "__main__":
    main()
