"""Compare our operations and defenses with kornia's: difference of the results, and images per second of both.

    python benchmarks/performance/kornia_operations.py [--json FILE] [--repeats 15]

Where ucbench calls kornia, the other side is the formula that this replaced (formulas.py), and kornia's side is what
ucbench does around its call too. Both sides run in turn on one thread; the best of ``--repeats`` counts, in processor
time, which other processes disturb less than wall time. Defenses that squeeze start and end with 8 bits on both sides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from kornia_pairs import PAIRS, Batch, Pair, Sides

from ucbench.numerics import Numerics, environment
from ucbench.training.determinism import deterministic

#: Images of a batch, and their side in pixels.
BATCHES = ((128, 32), (64, 96))


@dataclass(frozen=True)
class Row:
    """What was measured: images per second by side of the images, and how the results differ over all batches.

    Attributes:
        difference: the largest one, in ``unit``; None where each side draws by itself.
        differing: share of the values that are half a level or more apart.
    """

    name: str
    kornia: str
    difference: float | None
    differing: float
    unit: str
    ours_per_second: dict[str, float]
    kornia_per_second: dict[str, float]
    used: str
    why: str


def rows(pairs: Sequence[Pair], batches: Sequence[tuple[int, int]], repeats: int) -> Iterator[Row]:
    for pair in pairs:
        differences, ours, kornia = [torch.zeros(0)], {}, {}
        for count, side in batches:
            sides = pair.sides(Batch(count, side))
            if pair.unit:
                scale = 255 if pair.unit == "levels" else 1
                differences.append((sides.ours() - sides.kornia()).abs().flatten() * scale)
            ours[str(side)], kornia[str(side)] = (count / seconds for seconds in best(sides, repeats))
        values = torch.cat(differences)
        difference = float(values.max()) if pair.unit else None
        differing = float((values >= 0.5).float().mean()) if pair.unit == "levels" else 0.0
        yield Row(pair.name, pair.kornia, difference, differing, pair.unit, ours, kornia, pair.used, pair.why)


def best(sides: Sides, repeats: int) -> list[float]:
    """Least seconds of either side, called in turn after an uncounted call of each."""
    seconds = [math.inf, math.inf]
    for turn in range(1 + repeats):
        for place, call in enumerate(sides):
            started = time.process_time()
            call()
            if turn:
                seconds[place] = min(seconds[place], time.process_time() - started)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the record, such as docs/_data/kornia_operations.json")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="8 images of 16 pixels: times mean nothing")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    batches = ((8, 16),) if options.tiny else BATCHES
    numerics = Numerics("cpu", "float32", 1)
    measured = []
    with deterministic(numerics), torch.no_grad():
        for row in rows(PAIRS, batches, options.repeats):
            measured.append(asdict(row))
            ratios = [row.kornia_per_second[side] / row.ours_per_second[side] for side in row.ours_per_second]
            print(row.name, row.difference, row.unit, [round(ratio, 2) for ratio in ratios], row.used, flush=True)
    report = {"machine": environment(numerics), "batches": batches, "repeats": options.repeats, "rows": measured}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
