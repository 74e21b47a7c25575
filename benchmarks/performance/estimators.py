"""Bias and cost of the estimators of mutual information, on Gaussian variables whose information is known.

    python benchmarks/performance/estimators.py [--json FILE] [--sets 32]

Bias and standard deviation are over sets of pairs, independent draws of both variables. Seconds are the best of three,
in processor time on one thread, for 128 projections of 512 features, on both sides and with the projection.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ucbench.numerics import Numerics, environment
from ucbench.training.determinism import deterministic
from ucbench_measures.dependence import gaussian_kernel, hsic, linear_cka
from ucbench_measures.slicing import ESTIMATORS, projected, sliced

SIZES = (500, 1000, 2000)
#: Nats.
INFORMATION = (0.0, 0.1, 0.5, 1.0, 2.0)
PROJECTIONS, FEATURES = 128, 512


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def biases(sizes: tuple[int, ...], sets: int) -> list[dict[str, Any]]:
    rows = []
    for count in sizes:
        for information in INFORMATION:
            rng = np.random.default_rng([count, int(10 * information)])
            r = math.sqrt(1 - math.exp(-2 * information))
            x = rng.standard_normal((sets, count))
            y = r * x + math.sqrt(1 - r * r) * rng.standard_normal((sets, count))
            for name, estimate in ESTIMATORS.items():
                values = estimate(x, y, generator())
                rows.append({"estimator": name, "pairs": count, "information": information,
                             "mean": float(values.mean()), "sd": float(values.std(ddof=1))})  # fmt: skip
    return rows


def costs(sizes: tuple[int, ...], features: int, projections: int, repeats: int = 3) -> list[dict[str, Any]]:
    rows = []
    for count in sizes:
        x = torch.randn((count, features), generator=generator(1))
        y = x + torch.randn((count, features), generator=generator(2))

        def one(name: str, x: torch.Tensor = x, y: torch.Tensor = y) -> None:
            sliced(projected(x, projections, generator(3)), projected(y, projections, generator(4)), name, generator())

        timed: dict[str, Callable[[], object]] = {name: lambda name=name: one(name) for name in ESTIMATORS}
        timed["hsic"] = lambda x=x, y=y: hsic(gaussian_kernel(x), gaussian_kernel(y))
        timed["cka"] = lambda x=x, y=y: linear_cka(x, y)
        best = dict.fromkeys(timed, math.inf)
        for _ in range(repeats):  # in turn, so that other work on the machine hits all alike
            for name, call in timed.items():
                started = time.process_time()
                call()
                best[name] = min(best[name], time.process_time() - started)
        rows += [{"measure": name, "pairs": count, "seconds": seconds} for name, seconds in best.items()]
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sets", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--projections", type=int, default=PROJECTIONS)
    options = parser.parse_args(arguments)
    sizes, numerics = tuple(options.sizes), Numerics("cpu", "float32", 1)
    with deterministic(numerics):
        record = {
            "sets": options.sets, "features": options.features, "projections": options.projections,
            "machine": environment(numerics), "bias": biases(sizes, options.sets),
            "cost": costs(sizes, options.features, options.projections),
        }  # fmt: skip
    text = json.dumps(record, indent=1) + "\n"
    if options.json is None:
        sys.stdout.write(text)
    else:
        options.json.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
