"""Fill as much of a CIFAR-10 board as a time allows on one GPU; what matters most is complete first.

    python benchmarks/gpu/fill.py --data .data --out results/cifar10-gpu --seconds 600

Two victims, the fast one at full width and ResNet-18 for 30 epochs; clean and sham images, the positives in four
crafts, and every poisoner of the suites ``cifar10-poisoners`` and ``cifar10-methods`` in one craft and three trainings.
Call it again to continue: cells with a record in ``--out`` are done, releases stay in ``--home``, and interrupted
crafts continue. It writes records only. On a GPU it computes in bfloat16, compiles victims into CUDA graphs and does
without determinism, all of which are part of the keys: such records do not mix with those of processors.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[1] / "performance"))

from subjects.peak import measured_peak

from ucbench.matrix import requests
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import dedup_key, expand
from ucbench.numerics import Numerics, resolve
from ucbench.plugins.builtin import ADDED_REFERENCES, POSITIVE, SHAM
from ucbench.plugins.grammar import base_name
from ucbench.plugins.registry import Registry, installed
from ucbench.progress import Silent, duration
from ucbench.results.gate import PIXEL_POSITIVE
from ucbench.results.records import Record
from ucbench.running.estimate import predicted
from ucbench.running.runner import run_cells
from ucbench.running.tasks import finished, task_of, with_crafting
from ucbench.session import Session
from ucbench.store.store import Store

SUITES = ("cifar10-poisoners", "cifar10-methods")
FAST, SLOW = "airbench@full", "resnet18@eight:batch=256,epochs=30,lr=0.1"
#: What judges the regime, and the methods that a board is about; the other poisoners come after them.
GATE = (*ADDED_REFERENCES, POSITIVE, base_name(PIXEL_POSITIVE))
CORE = ("uc", "mi-ue", "eminn", "adv-poison", "lsp")
#: What the project set itself on a GPU of the H100 class: the fast victim's clean accuracy in percent and most seconds,
#: most seconds of 200 epochs of the other, and the least share of a matrix product's operations.
ACCURACY, FAST_SECONDS, EPOCHS, SLOW_SECONDS, SHARE = 94.0, 6.0, 200, 180.0, 0.25
#: Crafts and trainings of the positives, whose gate is about the interval over crafts; and of the others.
SEVERAL, ONE = {"seed": "0-3", "trainings": 1}, {"seed": "0", "trainings": 3}
#: k-means of 50,000 images takes all it can get. A fixed number, since it is part of every key.
THREADS = 8
#: Smallest request, on which the script itself is tried out.
TINY = {
    "dataset": "digits:train_per_class=20",
    "poisoner": ["positive:grid=2", "rand-class:pattern=sign", "lsp", "rand-sample"],
    "victim": ["lenet5:epochs=1", "linear:epochs=1"],
    "epsilon": 48,
}


def request(tiny: bool) -> list[dict[str, Any]]:
    """The axes of the board: those of the positives, and those of the others."""
    axes = TINY
    if not tiny:
        tables = [table for name in SUITES for table in requests.suite(name).requests()]
        named = [name for table in tables for name in _several(table["poisoner"])]
        axes = {
            "dataset": "cifar10", "poisoner": list(dict.fromkeys(named)), "victim": [FAST, SLOW], "epsilon": 8,
        }  # fmt: skip
    positives = [name for name in axes["poisoner"] if base_name(name) in GATE]
    others = [name for name in axes["poisoner"] if name not in positives]
    return [{**axes, "poisoner": positives, **SEVERAL}, {**axes, "poisoner": others, **ONE}]


def cells_of(tables: Sequence[Mapping[str, Any]], registry: Registry) -> list[Cell]:
    """The cells of all tables, :func:`ordered`; references that they share once."""
    cells = {dedup_key(cell): cell for axes in tables for cell in expand(requests.axes(**axes), registry)}
    return ordered(list(cells.values()), tables[0]["victim"])


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def place(cell: Cell, victims: Sequence[str]) -> int:
    """The place of a cell in the order of README.md, from 1."""
    name, first = cell.craft.poisoner.spec.name, str(cell.victim) == victims[0]
    # Sham images of other norms belong to the poisoners of those norms.
    if name not in (*GATE, *CORE) or (name == SHAM and cell.craft.budget.norm != "linf"):
        return 4 if first else 6
    if first:
        return 1 if name in GATE else 2
    return 3 if cell.train_seed == 0 else 5


def ordered(cells: Sequence[Cell], victims: Sequence[str]) -> list[Cell]:
    """Cells by place; within it by poisoner, so that one is complete before the next begins."""
    poisoners = list(dict.fromkeys(str(cell.craft.poisoner) for cell in cells))
    return sorted(
        cells, key=lambda cell: (place(cell, victims), poisoners.index(str(cell.craft.poisoner)), cell.train_seed)
    )


class _Over(KeyboardInterrupt):
    """The time is over."""


def _stop(*_: object) -> None:
    raise _Over


def fill(cells: Sequence[Cell], session: Session, out: Path, deadline: float) -> list[Record]:
    """Compute cells until ``deadline`` on the monotonic clock; those that would not be done by then are left out."""
    tasks = [task_of(cell, session) for cell in cells]
    done = {task.key: found.record for task in tasks if (found := finished(task, session, out))}
    records, left_out = list(done.values()), 0
    print(f"{len(cells)} cells, {len(done)} done", flush=True)
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.001))
    try:
        with suppress(_Over):
            for task in tasks:
                if task.key in done:
                    continue
                # An interruption that a callback of torch swallowed is not repeated.
                if time.monotonic() >= deadline:
                    break
                ((_, crafts),) = with_crafting([task], session)
                seconds = predicted(task, session, crafts=crafts)
                if seconds is not None and time.monotonic() + seconds > deadline:
                    left_out += 1
                    continue
                started = time.monotonic()
                records += run_cells([task.cell], session, out=out)
                print(f"{time.monotonic() - started:6.1f} s  {outcome(records[-1])}", flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if left_out:
        print(f"{left_out} cells were left out: they take longer than the time that was left")
    return records


def outcome(record: Record) -> str:
    """A record in one line."""
    asked = record["request"]
    what = f"{asked['poisoner']} | {asked['victim']} | training {asked['train_seed']}"
    if record["status"] != "ok":
        return f"{what}: failed: {record['error']['type']}: {record['error']['text']}".splitlines()[0]
    return f"{what}: {record['metrics']['test_accuracy']:.1f} %"


def speeds(records: Iterable[Record]) -> dict[str, list[float]]:
    """Floating-point operations per second of every training, by victim; three forward passes per image and epoch."""
    found = defaultdict(list)
    for record in records:
        cost = record.get("cost", {})
        if cost.get("train_gflops") and cost["train_seconds"]:
            found[record["request"]["victim"]].append(1e9 * cost["train_gflops"] / cost["train_seconds"])
    return dict(found)


def goals(records: Iterable[Record], shares: Mapping[str, float]) -> list[str]:
    """What was reached of the goals, a line each; those of victims that were not trained are left out.

    Args:
        shares: median share of a matrix product's operations, by victim.
    """
    trained = defaultdict(list)
    for record in records:
        if record.get("cost", {}).get("train_seconds"):
            trained[record["request"]["victim"]].append(record)
    seconds = {name: statistics.median(one["cost"]["train_seconds"] for one in of) for name, of in trained.items()}
    lines = []
    clean = [one["metrics"]["test_accuracy"] for one in trained[FAST] if one["request"]["poisoner"] == "clean"]
    if clean:
        accuracy = statistics.fmean(clean)
        lines.append(
            f"{FAST}: {ACCURACY:g} % clean in under {FAST_SECONDS:g} s: {accuracy:.1f} % in {seconds[FAST]:.1f} s,"
            f" {_met(accuracy >= ACCURACY and seconds[FAST] < FAST_SECONDS)}"
        )
    if trained[SLOW]:
        whole = seconds[SLOW] * EPOCHS / trained[SLOW][0]["epochs"]
        lines.append(
            f"{SLOW}: {EPOCHS} epochs in under {SLOW_SECONDS:g} s: {whole:.0f} s at this pace,"
            f" {_met(whole < SLOW_SECONDS)}"
        )
    for name, share in shares.items():
        lines.append(f"{name}: {SHARE:.0%} of a matrix product: {share:.1%}, {_met(share >= SHARE)}")
    return lines


def _met(met: bool) -> str:
    return "met" if met else "not met"


def report(records: Sequence[Record], numerics: Numerics) -> None:
    """Print the operations per second of every victim, their share of what a matrix product reaches, and the goals."""
    device = torch.device(numerics.device)
    peak = measured_peak(device, torch.bfloat16 if numerics.dtype == "bfloat16" else torch.float32)
    print(
        f"\n| victim | trainings | median TFLOP/s | share of {peak / 1e12:.2f}, a matrix product |\n|---|---|---|---|"
    )
    shares = {}
    for victim, values in speeds(records).items():
        typical = statistics.median(values)
        shares[victim] = typical / peak
        print(f"| {victim} | {len(values)} | {typical / 1e12:.3f} | {shares[victim]:.1%} |")
    print("\nGoals on a GPU of the H100 class:", *goals(records, shares), sep="\n  ")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(".data"), help="folder with cifar10/, as parts.py joins it")
    parser.add_argument("--out", type=Path, required=True, help="folder for records")
    parser.add_argument("--home", type=Path, help="store; by default beside --out")
    parser.add_argument("--seconds", type=float, default=600.0, help="from here on: torch is imported before")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="digits and small victims, to try the script out")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + options.seconds
    os.environ["UCBENCH_DATA"] = str(options.data)
    numerics = resolve(options.device, threads=THREADS)
    if numerics.device.startswith("cuda"):
        numerics = replace(numerics, deterministic=False, compiled=not options.no_compile)
    session = Session(
        Store(options.home or options.out.with_name(f"{options.out.name}-store")), numerics, Silent(), installed()
    )
    cells = cells_of(request(options.tiny), session.registry)
    # Two seconds for the last lines: a process that is ended prints nothing.
    records = fill(cells, session, options.out, deadline - min(2.0, options.seconds / 10))
    print(f"{len(records)} of {len(cells)} cells; {duration(max(deadline - time.monotonic(), 0))} left")
    report(records, numerics)
    return 0


if __name__ == "__main__":
    sys.exit(main())
