"""Seconds from an empty store to a board: data, crafting, training, measuring and overhead, and what scripts take.

    python benchmarks/performance/board.py [--suite FILE] [--data-root DIR] [--full] [--json FILE]
    python benchmarks/performance/board.py --ranking BOARD OTHER

By default every kind of craft and of training is computed once, on one core, and multiplied by the number of times that
the plan needs it; so is what a release of each kind of craft adds to measuring. ``--full`` computes all cells, with
``--workers`` processes. The last column is an estimate of what the official scripts take for the same crafts and
trainings: the seconds of one of their steps, measured here, times the steps that their own settings ask for.
``--ranking`` compares the orders of two boards by Kendall's tau-b.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts import Script, script_costs

from ucbench.errors import UcbenchError
from ucbench.leaderboard.compare import compare_boards, read_board
from ucbench.matrix import requests
from ucbench.numerics import environment, resolve
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.results.records import Record
from ucbench.running.estimate import crafting_work, training_work
from ucbench.running.executors.process import Processes, ProcessParams
from ucbench.running.runner import run_cells
from ucbench.running.sets import crafted
from ucbench.running.tasks import Task, task_of, with_crafting
from ucbench.session import Session
from ucbench.store.store import Store

SUITE = Path(__file__).with_name("board.toml")
STAGES = ("crafting", "training", "measuring", "overhead")


@dataclass
class Kind:
    """A kind of craft, of training or of release: how often the plan needs it, and the seconds of one by stage."""

    name: str
    count: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def total(self, stage: str) -> float:
        return self.count * self.seconds.get(stage, 0.0)


def cell_seconds(record: Record) -> dict[str, float]:
    """The stages of one training, from its record.

    Measuring is all of the exploiter's time that is not training: labels, preparation by defenses, evaluations between
    epochs, features, metrics.

    Raises:
        RuntimeError: for a failed cell.
    """
    if record["status"] != "ok":
        raise RuntimeError(f"{record['request']['poisoner']}: {record['error']['text']}")
    cost = record["cost"]
    return {"training": cost["train_seconds"], "measuring": cost["seconds"] - cost["train_seconds"]}


@dataclass
class Kinds:
    """Tasks by kind: those that craft, all by their training, and those with a release by its craft."""

    crafts: dict[str, list[Task]] = field(default_factory=lambda: defaultdict(list))
    trainings: dict[str, list[Task]] = field(default_factory=lambda: defaultdict(list))
    releases: dict[str, list[Task]] = field(default_factory=lambda: defaultdict(list))


def kinds_of(tasks: Sequence[Task], session: Session) -> Kinds:
    kinds = Kinds()
    for task, crafting in with_crafting(tasks, session):
        data = session.data(task.cell).train
        kinds.trainings[training_work(task.cell, len(data), data.size, session.numerics)].append(task)
        if task.release_key is None:
            continue
        work = crafting_work(task.cell, len(data), data.size, session.numerics)
        kinds.releases[work].append(task)
        if crafting and task.cell.craft.base is None:
            kinds.crafts[work].append(task)
    return kinds


def sample(tasks: Sequence[Task], session: Session) -> list[Kind]:
    """Every kind once, in this process."""
    by_kind = kinds_of(tasks, session)
    kinds = []
    for same in by_kind.crafts.values():
        started = time.perf_counter()
        crafted(same[0].cell, session)
        kind = Kind(str(same[0].cell.craft.poisoner), len(same), {"crafting": time.perf_counter() - started})
        print(f"  craft {kind.name}: {kind.seconds['crafting']:.1f} s, {kind.count} times", flush=True)
        kinds.append(kind)
    measuring: dict[str, float] = {}  # by task: of its kind of training
    for same in by_kind.trainings.values():
        # The release is there: of every kind of craft the first is.
        task = next((task for task in same if task.release_key is None), same[0])
        started = time.perf_counter()
        (record,) = run_cells([task.cell], session)
        spent = cell_seconds(record)
        spent["overhead"] = time.perf_counter() - started - sum(spent.values())
        kind = Kind(f"{task.cell.victim} + {task.cell.defense_text}", len(same), spent)
        print(f"  train {kind.name}: {sum(spent.values()):.1f} s, {kind.count} times", flush=True)
        kinds.append(kind)
        measuring |= dict.fromkeys((one.key for one in same), spent["measuring"])
    for same in by_kind.releases.values():
        task = min(same, key=lambda task: len(task.cell.defense))
        (record,) = run_cells([task.cell], session)
        more = max(cell_seconds(record)["measuring"] - measuring[task.key], 0.0)
        kind = Kind(f"release of {task.cell.craft.poisoner}", len(same), {"measuring": more})
        print(f"  measure {kind.name}: {more:.1f} s more, {kind.count} times", flush=True)
        kinds.append(kind)
    return kinds


def full(tasks: Sequence[Task], session: Session, workers: int) -> tuple[list[Kind], float]:
    """All cells, and the seconds from the first to the last."""
    crafting = {task.key for same in kinds_of(tasks, session).crafts.values() for task in same}
    started = time.perf_counter()
    records = run_cells([task.cell for task in tasks], session, executor=Processes(ProcessParams(workers=workers)))
    seconds = time.perf_counter() - started
    kinds: dict[str, Kind] = {}
    for task, record in zip(tasks, records, strict=True):
        spent = cell_seconds(record)
        parts = [(f"{task.cell.victim} + {task.cell.defense_text}", spent)]
        if task.key in crafting:
            parts.append((str(task.cell.craft.poisoner), {"crafting": record["cost"]["craft_seconds"]}))
        for name, part in parts:
            kind = kinds.setdefault(name, Kind(name))
            kind.count += 1
            for stage, value in part.items():  # the mean
                kind.seconds[stage] = kind.seconds.get(stage, 0.0) + (value - kind.seconds.get(stage, 0.0)) / kind.count
    return list(kinds.values()), seconds


def board(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Measure the board of a suite on an empty store."""
    suite = requests.suite(str(options.suite))
    session = Session(Store(home), resolve("cpu", options.dtype, suite.file.threads), Silent(), installed())
    axis = json.loads(options.axes) if options.axes else {}
    cells = requests.suite_cells(suite, session.registry, **axis)
    started = time.perf_counter()
    for cell in cells:
        session.data(cell)
    data = time.perf_counter() - started
    tasks = [task_of(cell, session) for cell in cells]
    print(f"{suite.title}: {len(cells)} cells", flush=True)
    if options.full:
        kinds, wall = full(tasks, session, options.workers)
        spent = sum(kind.total(stage) for kind in kinds for stage in STAGES)
        overhead = max(options.workers * wall - spent, 0.0)  # of all workers, waiting included
    else:
        kinds = sample(tasks, session)
        wall = sum(kind.total(stage) for kind in kinds for stage in STAGES) / options.workers
        overhead = sum(kind.total("overhead") for kind in kinds)
    seconds = {"data": data, **{stage: sum(kind.total(stage) for kind in kinds) for stage in STAGES[:-1]}}
    crafted = Counter[str]()
    for task, crafting in with_crafting(tasks, Session(Store(home / "empty"), session.numerics, registry=installed())):
        crafted[task.cell.craft.poisoner.spec.name] += crafting
    train = session.data(cells[0]).train
    scripts = script_costs(crafted, len(cells), len(train), options.script_width, options.script_batch)
    return {
        "suite": suite.title,
        "how": "all cells" if options.full else "every kind once, multiplied",
        "cells": len(cells),
        "images": len(train),
        "workers": options.workers,
        "core_seconds": {name: round(value, 2) for name, value in {**seconds, "overhead": overhead}.items()},
        "seconds": round(data + wall, 1),
        "kinds": [{"name": kind.name, "count": kind.count, "seconds": kind.seconds} for kind in kinds],
        "scripts": [vars(script) for script in scripts],
        "script_seconds": round(sum(script.seconds for script in scripts) / options.workers, 1),
        "machine": environment(session.numerics),
    }


def report(found: dict[str, Any]) -> None:
    """Print the board's seconds as tables."""
    print(f"\n| stage | core seconds ({found['how']}) |\n|---|---|")
    for stage, seconds in found["core_seconds"].items():
        print(f"| {stage} | {seconds:,.1f} |")
    print(
        f"\n{found['seconds']:,.0f} s on {found['workers']} cores"
        + ("" if "all" in found["how"] else ", if both are busy")
    )
    print(
        "\n| official scripts | passes of an image | s per 1,000 images | times | core seconds |\n|---|---|---|---|---|"
    )
    for script in (Script(**values) for values in found["scripts"]):
        passes = ", ".join(f"{count:,g} {step}" for step, count in script.passes.items()) or "none"
        rate = ", ".join(
            f"{1000 * seconds:.1f} {step}" for step, seconds in script.per_image.items() if step in script.passes
        )
        print(f"| {script.name} | {passes} | {rate} | {script.count} | {script.seconds:,.0f} |")
    ratio = found["script_seconds"] / found["seconds"]
    print(
        f"\nScripts, multiplied out from their steps: {found['script_seconds']:,.0f} s on {found['workers']} cores;"
        f" {ratio:,.1f} times as long."
    )


def ranking(one: Path, other: Path) -> int:
    """Print how far the orders of two boards agree."""
    orders = compare_boards(*(read_board(folder, None) for folder in (one, other))).orders
    for order in orders:
        found = order.agreement
        print(f"{' '.join(str(part) for part in order.block if part not in (None, 'none', 1.0, 0))}, {order.by}:")
        print(
            f"  tau-b {found.tau:.2f} [{found.low:.2f}, {found.high:.2f}], p {found.p:.3f}, of {found.items} poisoners,"
            f" fewest crafts {found.seeds}"
        )
    if not orders:
        print("No block has two ranked poisoners on both boards.")
    return 0 if orders else 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, default=SUITE, help="a suite's file")
    parser.add_argument("--axes", help='JSON of axes that replace the suite\'s, such as {"seed": "0"}')
    parser.add_argument("--data-root", type=Path, help="folder of data sets (UCBENCH_DATA)")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--full", action="store_true", help="compute all cells")
    parser.add_argument("--workers", type=int, default=2, help="cores")
    parser.add_argument("--script-width", type=int, default=64, help="of the scripts' ResNet-18")
    parser.add_argument("--script-batch", type=int, default=128, help="images of the scripts' steps that are timed")
    parser.add_argument("--ranking", nargs=2, type=Path, metavar=("BOARD", "OTHER"))
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    if options.ranking:
        return ranking(*options.ranking)
    if options.data_root:
        os.environ["UCBENCH_DATA"] = str(options.data_root)
    try:
        with tempfile.TemporaryDirectory() as home:
            found = board(options, Path(home))
    except UcbenchError as error:
        parser.error(str(error))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
