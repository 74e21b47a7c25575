"""What each defense costs: throughput of training under it, as a ratio to none, and seconds to prepare 1,000 pictures.

    python benchmarks/performance/defenses.py [--size 32] [--images 1000] [--threads 1] [DEFENSE ...]

Random pictures, ``resnet18:width=16``; the second of two epochs is timed. Defenses that need a trusted set get one.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from pydantic import ValidationError

from ucbench import UcbenchError
from ucbench.context import Context
from ucbench.data import ImageSet
from ucbench.numerics import resolve
from ucbench.progress import Silent
from ucbench.registry import installed
from ucbench.training import DefenseChain, Engine, arithmetic, seeded

CLASSES = 10


def pictures(count: int, size: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return ImageSet(images, labels, tuple(map(str, range(CLASSES))), name="random pictures")


def measure(reference: str, engine: Engine, train: ImageSet, trusted: ImageSet) -> tuple[float, float]:
    """Images a second while training, and seconds to prepare 1,000 images, under ``reference`` (empty for none)."""
    registry = installed()
    parts = [(reference, registry.resolve("defense", reference).build())] if reference else []
    chain = DefenseChain(parts)
    run = Context(engine, ("benchmark", 0), Silent())
    started = time.perf_counter()
    prepared = chain.prepare(train, run)
    preparing = (time.perf_counter() - started) * 1000 / len(train)
    victim = registry.resolve("victim", "resnet18:width=16,epochs=1").build()
    speeds = []
    for _ in range(2):
        with seeded(0):
            model = victim.build(CLASSES, train.size)
        result = engine.fit(model, prepared, victim.recipe, seed=0, run=run, defenses=chain, trusted=trusted)
        speeds.append(result.images_per_second)
    return speeds[-1], preparing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("defense", nargs="*", help="references; all installed defenses by default")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    train, trusted = pictures(options.images, options.size, 0), pictures(100, options.size, 1)
    numerics = resolve(threads=options.threads)
    with arithmetic(numerics):
        engine = Engine(numerics)
        plain, _ = measure("", engine, train, trusted)
        print(f"none: {plain:.0f} images a second ({numerics})")
        for reference in options.defense or installed().names("defense"):
            try:
                speed, preparing = measure(reference, engine, train, trusted)
            except (UcbenchError, ValidationError) as error:  # one that must be told something, as where a model lies
                print(f"{reference}: not measured: {error}".splitlines()[0])
                continue
            cost = f", {preparing:.2f} s to prepare 1,000" if preparing > 0.005 else ""
            print(f"{reference}: {speed / plain:.2f} of that{cost}", flush=True)


if __name__ == "__main__":
    main()
