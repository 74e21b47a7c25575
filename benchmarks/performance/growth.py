"""How cost grows with the number of images, of classes, of clusters and of cells: four sizes each, and the exponent.

    python benchmarks/performance/growth.py [AXIS ...] [--start 1.0] [--repeats 3] [--json FILE]

Seconds of every stage are measured at four sizes, each twice the one before, and the exponent b of
seconds = a * size^b is fitted to their logarithms by least squares: 1 is linear, 0 independent of the size. Small sizes
are ruled by fixed costs; ``--start`` multiplies all sizes. The best of the repeats counts. Images are synthetic; for
every size one cell is crafted, trained and measured, and cells are planned only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ucbench import DatasetSpec, hookimpl
from ucbench.data.imageset import ImageSet
from ucbench.data.params import DatasetParams
from ucbench.matrix.matrix import expand
from ucbench.matrix.requests import axes
from ucbench.numerics import cpu_name, resolve
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry, installed
from ucbench.progress import Silent
from ucbench.running.runner import run_cells
from ucbench.session import Session
from ucbench.steps import plan_session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells, small_registry

Seconds = dict[str, float]
SIDE = 16
#: First sizes of the four.
STARTS = {"images": 250, "classes": 5, "clusters": 4, "cells": 300}
#: What stays while another size grows.
IMAGES, CLASSES, CLUSTERS = 1000, 10, 10
#: A craft on the pretrained surrogate, without students to train; and a small victim.
POISONER = "uc:clusters={clusters},steps=3,students=0,batch=32"
VICTIM = "resnet18:width=16,epochs=1"
#: Poisoner whose cost could depend on the number of classes.
BY_CLASS = "rand-class:pattern=sign"


class MadeParams(DatasetParams):
    images: int = IMAGES
    labels: int = CLASSES


class Made:
    """Synthetic images of any number and any number of classes: a coarse pattern per class, with noise."""

    def __init__(self, params: MadeParams) -> None:
        self.params = params

    def load(self, split: Literal["train", "test"]) -> ImageSet:
        count, classes = self.params.images if split == "train" else 500, self.params.labels
        rng = np.random.default_rng(split == "test")
        patterns = (
            np.random.default_rng(7).integers(40, 216, (classes, 3, SIDE // 4, SIDE // 4)).repeat(4, 2).repeat(4, 3)
        )
        labels = np.arange(count, dtype=np.int64) % classes
        images = (patterns[labels] + rng.integers(-38, 39, (count, 3, SIDE, SIDE))).astype(np.uint8)
        return ImageSet(images, labels, tuple(map(str, range(classes))), name=f"made {split}")


class Plugin:
    """Registers the data set of this script."""

    @hookimpl
    def ucbench_datasets(self) -> Iterator[DatasetSpec]:
        yield DatasetSpec(name="made", summary="", load=f"{__name__}:Made", params=f"{__name__}:MadeParams", epsilon=16)


def registry() -> Registry:
    return Registry([*installed().plugins, load_module("made", Plugin(), "ucbench", "0")], registry)


def cell_seconds(poisoner: str, *, images: int = IMAGES, classes: int = CLASSES) -> Seconds:
    """Seconds of the stages of one cell on an empty store."""
    with tempfile.TemporaryDirectory() as home:
        session = Session(Store(Path(home)), resolve("cpu", "float32", 1), Silent(), registry())
        request = axes(dataset=f"made:images={images},labels={classes}", poisoner=poisoner, victim=VICTIM, epsilon=16)
        cells = [cell for cell in expand(request, session.registry) if not cell.craft.is_added_reference]
        started = time.perf_counter()
        data = session.data(cells[0])
        loading = time.perf_counter() - started
        assert len(data.train) == images
        (record,) = run_cells(cells, session)
    if record["status"] != "ok":
        raise RuntimeError(record["error"]["text"])
    cost = record["cost"]
    return {
        "loading": loading,
        "crafting": cost["craft_seconds"],
        "training": cost["train_seconds"],
        "measuring": cost["seconds"] - cost["train_seconds"],
    }


def by_images(size: int) -> Seconds:
    return cell_seconds(POISONER.format(clusters=CLUSTERS), images=size)


def by_classes(size: int) -> Seconds:
    return cell_seconds(BY_CLASS, classes=size)


def by_clusters(size: int) -> Seconds:
    return {"crafting": cell_seconds(POISONER.format(clusters=size))["crafting"]}


def by_cells(size: int) -> Seconds:
    with tempfile.TemporaryDirectory() as home:
        session = Session(Store(Path(home)), resolve("cpu", "float32", 1), Silent(), small_registry())
        started = time.perf_counter()
        cells = small_cells("spots", seeds=max(1, size // 3))
        expanded = time.perf_counter()
        plan_session(cells, session)
        return {"expanding": expanded - started, "planning": time.perf_counter() - expanded}


AXES: dict[str, Callable[[int], Seconds]] = {
    "images": by_images,
    "classes": by_classes,
    "clusters": by_clusters,
    "cells": by_cells,
}


def sizes_of(axis: str, start: float) -> list[int]:
    """Four sizes, each twice the one before."""
    return [max(2, round(start * STARTS[axis])) * 2**step for step in range(4)]


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of the logarithms of ``seconds`` over those of ``sizes``, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-9)), 1)[0])


def grown(axis: str, sizes: Sequence[int], repeats: int) -> list[dict[str, object]]:
    """Best seconds at every size and the exponent, by stage. Sizes take turns, so that a slow minute hits all."""
    best: dict[str, list[float]] = {}
    for _ in range(repeats):
        for place, size in enumerate(sizes):
            for stage, seconds in AXES[axis](size).items():
                row = best.setdefault(stage, [float("inf")] * len(sizes))
                row[place] = min(row[place], seconds)
    return [
        {"axis": axis, "stage": stage, "sizes": list(sizes), "seconds": row, "exponent": exponent(sizes, row)}
        for stage, row in best.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axis", nargs="*", help=f"of {', '.join(AXES)}; all by default")
    parser.add_argument("--start", type=float, default=1.0, help="factor on all sizes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    if unknown := [axis for axis in options.axis if axis not in AXES]:
        parser.error(f"no axis {unknown[0]!r}; there are {', '.join(AXES)}")
    print("| grows | stage | sizes | seconds | exponent |\n|---|---|---|---|---|")
    rows = []
    for axis in options.axis or AXES:
        for row in grown(axis, sizes_of(axis, options.start), options.repeats):
            rows.append(row)
            sizes, seconds = ", ".join(map(str, row["sizes"])), ", ".join(f"{value:.3g}" for value in row["seconds"])
            print(f"| {axis} | {row['stage']} | {sizes} | {seconds} | {row['exponent']:.2f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"processor": cpu_name(), "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
