"""How to keep several cores busy with trainings, and what another memory allocator gains.

    python benchmarks/performance/processes.py [--cores 2] [--images 1000] [--repeats 5] [--preload LIB] [--json FILE]

Every arrangement trains ``--victim`` for one epoch on synthetic images, once to warm up and once measured: in one
process with a thread per core, in as many processes of one thread, or in such processes that are each pinned to a core.
All processes of an arrangement begin the measured epoch together, and it lasts until the last is done. Allocators are
compared in one process of one thread: the system's; glibc's when it keeps large blocks, which says nothing where the
system's is another; and those of ``--preload`` (jemalloc, tcmalloc). Arrangements take turns, and medians count.
Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Settings of glibc's allocator by which it returns no block to the system, and so clears none again.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
VICTIM = "airbench@small"


@dataclass(frozen=True)
class Arrangement:
    """Processes that train at the same time.

    Attributes:
        group: those of one group are compared, with the first of them.
        cores: for each process the core that it is pinned to, or None.
        environment: variables that all of them have in addition.
    """

    group: str
    name: str
    threads: int
    cores: tuple[int | None, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def arrangements(cores: Sequence[int], preloads: Sequence[Path]) -> list[Arrangement]:
    """What is compared on these cores."""
    count, free = len(cores), (None,)
    found = [
        Arrangement("processes", f"one process, {count} threads", count, free),
        Arrangement("processes", f"{count} processes of one thread", 1, free * count),
        Arrangement("processes", f"{count} processes, each pinned to a core", 1, tuple(cores)),
        Arrangement("allocator", "the system's allocator", 1, free),
        Arrangement("allocator", "glibc's, keeping large blocks", 1, free, KEEPING),
    ]
    return found + [
        Arrangement("allocator", path.name, 1, free, {"LD_PRELOAD": str(path.resolve())}) for path in preloads
    ]


def speed(arrangement: Arrangement, victim: str, images: int, side: int) -> float:
    """Images per second of all processes together.

    Raises:
        RuntimeError: if a process ends early.
    """
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--train", victim, str(images), str(side), str(arrangement.threads), str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(arrangement.threads), **arrangement.environment},
        )
        for core in arrangement.cores
    ]
    try:
        for process in started:
            _answer(process)  # it has warmed up
        begun = time.perf_counter()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in started:
            _answer(process)
        return len(started) * images / (time.perf_counter() - begun)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _answer(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError("a process of this arrangement ended early; its error is above")


def train(victim: str, images: int, side: int, threads: int, core: int | None) -> None:
    """What each process does: an epoch to warm up, and one more at a signal."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    from subjects.base import CLASSES, synthetic_images

    from ucbench.numerics import resolve
    from ucbench.plugins.registry import installed
    from ucbench.training.determinism import deterministic, seeded
    from ucbench.training.engine import Engine

    numerics = resolve("cpu", threads=threads)
    built = installed().resolve("victim", f"{victim}{',' if ':' in victim else ':'}epochs=1").build()
    data = synthetic_images(images, side)
    with deterministic(numerics):
        engine = Engine(numerics)
        for _ in range(2):
            with seeded(0):
                model = built.build(CLASSES, data.size)
            engine.fit(model, data, built.recipe, seed=0)
            print("done", flush=True)
            sys.stdin.readline()


def measured(found: Sequence[Arrangement], victim: str, images: int, side: int, repeats: int) -> list[dict[str, Any]]:
    """A row for every arrangement: images per second of all repeats, and the ratio of medians to its group's first."""
    speeds: dict[str, list[float]] = {one.name: [] for one in found}
    for repeat in range(repeats):
        for one in found if repeat % 2 == 0 else found[::-1]:
            speeds[one.name].append(speed(one, victim, images, side))
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for one in found:
        median = statistics.median(speeds[one.name])
        ratio = round(median / first.setdefault(one.group, median), 3)
        rows.append({"group": one.group, "name": one.name, "speeds": speeds[one.name], "ratio": ratio})
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="how many are used")
    parser.add_argument("--victim", default=VICTIM)
    parser.add_argument("--images", type=int, default=1000, help="of the epoch")
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels; a multiple of 4")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--preload", type=Path, action="append", default=[], help="library of an allocator; repeatable")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.train:
        victim, images, side, threads, core = options.train
        train(victim, int(images), int(side), int(threads), None if core == "None" else int(core))
        return 0
    from ucbench.numerics import environment, resolve

    if missing := [str(path) for path in options.preload if not path.is_file()]:
        parser.error(f"there is no file {missing[0]}")
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    found = arrangements(cores, options.preload)
    rows = measured(found, options.victim, options.images, options.side, options.repeats)
    print("| arrangement | images/s, all processes | ratio to the first |\n|---|---|---|")
    for row in rows:
        print(f"| {row['name']} | {statistics.median(row['speeds']):,.0f} | {row['ratio']:.2f} |")
    if options.json:
        report = {
            "machine": environment(resolve("cpu", threads=1)), "victim": options.victim, "images": options.images,
            "side": options.side, "repeats": options.repeats, "rows": rows,
        }  # fmt: skip
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
