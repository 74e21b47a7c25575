"""Where the time of trainings and crafts goes: shares of kinds of operations, by torch's profiler.

    python benchmarks/performance/operators.py [WORK ...] [--images 60] [--json FILE]

Every work runs once to warm up and once profiled, on one thread, on the embedded photographs (``--images`` of each of
the nine classes). A share is the time within operations of a kind, without those that they call, of the seconds of the
work; what is left is Python, and libraries without operations of torch, such as k-means. Crafts are a twentieth of the
default steps or less, with their students' or surrogate's training cut alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

import ucbench
from ucbench.data.imageset import ImageSet
from ucbench.data.loading import load_dataset
from ucbench.numerics import Numerics, environment, resolve
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.training.determinism import deterministic, seeded
from ucbench.training.engine import Engine

#: One epoch of victims, and crafts.
TRAININGS = {
    "airbench@small": "airbench@small:epochs=1",
    "resnet18": "resnet18:epochs=1",
}
CRAFTS = {
    "uc": "uc:steps=20,student='airbench@small:epochs=1,whitening_eps=0.0005'",
    "eminn": "eminn:min_sweeps=1,max_sweeps=1",
    "mi-ue": "mi-ue@quick:rounds=1",
}
#: Parts of operations' names by kind; the first that fits counts.
KINDS = {
    "convolution, backward": ("convolution_backward",),
    "convolution, forward": ("convolution",),
    "normalisation": ("batch_norm", "layer_norm"),
    "matrix products": ("addmm", "::mm", "::bmm", "linear", "matmul"),
    "pooling": ("pool",),
    "moving, converting, gathering": (
        "copy_", "contiguous", "_to_copy", "clone", "::cat", "::stack", "index", "gather", "::pad", "grid_sampler",
        "repeat", "::flip", "fill_", "zero_", "empty",
    ),
}  # fmt: skip
OTHER, OUTSIDE = "other operations", "outside of operations"


def kind_of(operation: str) -> str:
    """The kind of an operation, by its name."""
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), OTHER)


def shares(operations: Iterable[tuple[str, float]], seconds: float) -> dict[str, float]:
    """Shares of ``seconds``, the largest first.

    Args:
        operations: names, and seconds within them alone.
    """
    spent: dict[str, float] = defaultdict(float)
    for name, own in operations:
        spent[kind_of(name)] += own
    spent[OUTSIDE] = max(seconds - sum(spent.values()), 0.0)
    return {kind: round(value / seconds, 4) for kind, value in sorted(spent.items(), key=lambda item: -item[1])}


def profiled(work: Callable[[], object]) -> dict[str, Any]:
    """Seconds and shares of a second run."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    operations = [(event.key, event.self_cpu_time_total / 1e6) for event in found.key_averages() if "::" in event.key]
    return {"seconds": round(seconds, 3), "shares": shares(operations, seconds)}


def works(train: ImageSet, numerics: Numerics) -> dict[str, Callable[[], object]]:
    """What is profiled, by name."""

    def training(reference: str) -> None:
        victim = installed().resolve("victim", reference).build()
        with deterministic(numerics):
            with seeded(0):
                model = victim.build(len(train.classes), train.size)
            Engine(numerics).fit(model, train, victim.recipe, seed=0)

    def craft(reference: str) -> None:
        ucbench.craft(
            train.images, train.labels, reference, epsilon=8, device="cpu", dtype=numerics.dtype,
            threads=numerics.threads, progress=Silent(),
        )  # fmt: skip

    named = {f"training {name}": lambda text=text: training(text) for name, text in TRAININGS.items()}
    return {**named, **{f"craft {name}": lambda text=text: craft(text) for name, text in CRAFTS.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help="such as 'craft uc'; all by default")
    parser.add_argument("--images", type=int, default=60, help="of each class")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    numerics = resolve("cpu", options.dtype, 1)
    dataset = installed().resolve("dataset", f"photos:train_per_class={options.images},test_per_class=1")
    train = load_dataset(dataset.build(), dataset.params).train
    every = works(train, numerics)
    if unknown := [name for name in options.work if name not in every]:
        parser.error(f"no work {unknown[0]!r}; there are {', '.join(every)}")
    rows = []
    print("| work | s | shares |\n|---|---|---|")
    for name in options.work or every:
        row = {"work": name, **profiled(every[name])}
        rows.append(row)
        text = ", ".join(f"{share:.0%} {kind}" for kind, share in row["shares"].items() if share >= 0.005)
        print(f"| {name} | {row['seconds']:.1f} | {text} |", flush=True)
    if options.json:
        report = {"machine": environment(numerics), "images": len(train), "side": train.size[0], "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
