"""Measure the cost of each defense: training throughput relative to no defense, and seconds per 1,000 prepared images.

    python benchmarks/performance/defenses.py [DEFENSE ...] [--json FILE] [--images 512] [--size 32] [--repeats 3]

A machine's speed drifts by more than most defenses cost. So trainings with the defense alternate with trainings
without one, ``--repeats`` times, after an uncounted training of each; the ratio compares the medians. The images are
random, each training is one epoch of ``--victim``, and defenses that need a trusted set get one. Run nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from ucbench import DefenseSpec, UcbenchError
from ucbench.data.imageset import ImageSet
from ucbench.numerics import environment, resolve
from ucbench.plugins.registry import Component, installed
from ucbench.progress import Silent
from ucbench.training.defenses import DefensePipeline, DefenseRun
from ucbench.training.determinism import deterministic, seeded
from ucbench.training.engine import Engine

CLASSES = 10

HEAD = """\
| defense | tier | none, images/s | defense, images/s | ratio to none | s to prepare 1,000 |
|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """A defense compared with none: images per second of every repeat of both."""

    defense: str
    tier: str
    none: list[float]
    speeds: list[float]
    preparing: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.speeds) / statistics.median(self.none)

    def __str__(self) -> str:
        none, speed = (f"{statistics.median(speeds):,.0f}" for speeds in (self.none, self.speeds))
        preparing = f"{self.preparing:.2f}" if self.preparing >= 0.005 else ""
        return f"| `{self.defense}` | {self.tier} | {none} | {speed} | {self.ratio:.2f} | {preparing} |"


def random_images(count: int, size: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return ImageSet(images, labels, tuple(map(str, range(CLASSES))), name="random images")


class Trainings:
    """Trainings of one victim on the same images, with at most one defense.

    Args:
        victim: reference of a victim, such as ``resnet18:width=16``; the engine trains it for one epoch.
    """

    def __init__(self, engine: Engine, victim: str, train: ImageSet, trusted: ImageSet) -> None:
        self._train, self._trusted = train, trusted
        self._run = DefenseRun(engine, ("benchmark", 0), Silent())
        self._engine = engine
        self._victim = installed().resolve("victim", f"{victim}{',' if ':' in victim else ':'}epochs=1").build()

    def prepared(self, defenses: DefensePipeline) -> tuple[ImageSet, float]:
        """The prepared training images, and the seconds per 1,000 images of a second preparation."""
        defenses.prepare(self._train, self._run)  # a first time, to leave imports out
        started = time.perf_counter()
        prepared = defenses.prepare(self._train, self._run)
        return prepared, (time.perf_counter() - started) * 1000 / len(self._train)

    def speed(self, defenses: DefensePipeline, images: ImageSet) -> float:
        """Images per second of one training."""
        with seeded(0):
            model = self._victim.build(CLASSES, images.size)
        recipe = self._victim.recipe
        result = self._engine.fit(
            model, images, recipe, seed=0, run=self._run, defenses=defenses, trusted=self._trusted
        )
        return result.images_per_second

    def beside_none(self, defense: Component, repeats: int) -> Row:
        """Trainings with and without the defense in turn, after an uncounted one of each."""
        spec = defense.spec
        assert isinstance(spec, DefenseSpec)
        none, pipeline = DefensePipeline([]), DefensePipeline([(str(defense), defense.build())])
        images, preparing = self.prepared(pipeline)
        speeds: tuple[list[float], list[float]] = ([], [])
        for _ in range(1 + repeats):
            speeds[0].append(self.speed(none, self._train))
            speeds[1].append(self.speed(pipeline, images))
        return Row(str(defense), spec.tier, speeds[0][1:], speeds[1][1:], preparing)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("defense", nargs="*", help="references; all installed defenses by default")
    parser.add_argument("--json", type=Path, help="file for all results, written after every row")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--victim", default="resnet18:width=16")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    train, trusted = random_images(options.images, options.size, 0), random_images(100, options.size, 1)
    numerics = resolve(options.device, options.dtype, options.threads)
    rows: list[dict[str, object]] = []
    report = {
        "machine": environment(numerics),
        "victim": options.victim,
        "images": options.images,
        "size": options.size,
        "repeats": options.repeats,
        "rows": rows,
    }
    print(HEAD, flush=True)
    with deterministic(numerics):
        trainings = Trainings(Engine(numerics), options.victim, train, trusted)
        for reference in options.defense or installed().names("defense"):
            try:
                row = trainings.beside_none(installed().resolve("defense", reference), options.repeats)
            except (UcbenchError, ValidationError) as error:  # it needs a parameter, such as the path of a model
                problem = str(error).splitlines()[0]
                rows.append({"defense": reference, "problem": problem})
                print(f"| `{reference}` | not measured: {problem} |  |  |  |  |", flush=True)
            else:
                rows.append({**asdict(row), "ratio": round(row.ratio, 3)})
                print(row, flush=True)
            if options.json:
                options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\n{report['machine']['processor']}, {numerics}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
