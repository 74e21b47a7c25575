"""Ranking poisoners by the best an exploiter can do, with the craft seed as the unit.

For a poisoner p, W(p) is the highest mean accuracy that an exploiter reaches over the ranked defenses. The maximum of
noisy means would be too high by luck, so the defense is chosen on one half of the seeds and scored on the other, both
ways. The effect is (W(clean) - W(p)) / (W(clean) - chance), W(clean) being what the same exploiter
reaches on clean pictures.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ucbench.results import Row
from ucbench.results.statistics import Interval, interval

#: Accuracy in percent by defense and craft seed.
Accuracies = Mapping[str, Mapping[int, float]]


def accuracies_of(members: Iterable[Row]) -> dict[str, dict[int, float]]:
    """Mean accuracy by defense and craft seed (train seed of clean rows): trainings on one release are one unit."""
    units: dict[str, dict[int, list[float]]] = {}
    for row in members:
        seed = row["train_seed"] if row["craft_seed"] is None else row["craft_seed"]
        units.setdefault(row["defense"], {}).setdefault(seed, []).append(row["test_accuracy"])
    return {
        defense: {seed: statistics.fmean(values) for seed, values in seeds.items()} for defense, seeds in units.items()
    }


@dataclass(frozen=True)
class WorstCase:
    """The best that exploiters reach, seed by seed.

    Attributes:
        by_seed: accuracy of every seed under the defense that the *other* half of the seeds chose.
        defenses: those that were chosen.
    """

    by_seed: Mapping[int, float]
    defenses: tuple[str, ...]

    @property
    def accuracy(self) -> Interval:
        return interval(list(self.by_seed.values()))


def worst_case(accuracies: Accuracies, defenses: Sequence[str]) -> WorstCase | None:
    """W over ``defenses``; None while one of them lacks a seed that another has.

    A single seed chooses its own defense, and so is judged too well for the exploiter.
    """
    if not defenses or any(not accuracies.get(defense) for defense in defenses):
        return None
    seeds = sorted(accuracies[defenses[0]])
    if any(sorted(accuracies[defense]) != seeds for defense in defenses):
        return None
    halves = (seeds[::2], seeds[1::2]) if len(seeds) > 1 else (seeds, seeds)
    chosen = [_best(accuracies, defenses, half) for half in halves]
    by_seed = {seed: accuracies[chosen[1]][seed] for seed in halves[0]}
    if len(seeds) > 1:
        by_seed |= {seed: accuracies[chosen[0]][seed] for seed in halves[1]}
    return WorstCase(dict(sorted(by_seed.items())), tuple(dict.fromkeys(chosen)))


def _best(accuracies: Accuracies, defenses: Sequence[str], seeds: Sequence[int]) -> str:
    return max(defenses, key=lambda defense: statistics.fmean(accuracies[defense][seed] for seed in seeds))


def effect(clean: WorstCase, poisoned: WorstCase, chance: float) -> Interval:
    """Share of the gap between clean accuracy and ``chance`` (percent) that is gone, over seeds.

    An accuracy below chance counts as chance.
    Seeds that only one of them has are left out, as are those whose clean accuracy is no more than chance.
    """
    shared = poisoned.by_seed.keys() & clean.by_seed.keys()
    return interval(
        [
            (clean.by_seed[seed] - max(poisoned.by_seed[seed], chance)) / (clean.by_seed[seed] - chance)
            for seed in sorted(shared)
            if clean.by_seed[seed] > chance
        ]
    )


def ranks(cases: Mapping[str, WorstCase]) -> dict[str, int]:
    """Rank of every poisoner by W, the lowest first.

    A poisoner shares the rank of the first of the group before it unless the interval of their paired differences,
    over the seeds both have, leaves 0 out; with fewer than two shared seeds nothing tells them apart.
    """
    order = sorted(cases, key=lambda name: (cases[name].accuracy.mean, name))
    found: dict[str, int] = {}
    first = ""
    for position, name in enumerate(order, 1):
        if not first or _differs(cases[first], cases[name]):
            first, found[name] = name, position
        else:
            found[name] = found[first]
    return found


def _differs(one: WorstCase, other: WorstCase) -> bool:
    shared = sorted(one.by_seed.keys() & other.by_seed.keys())
    difference = interval([other.by_seed[seed] - one.by_seed[seed] for seed in shared])
    return difference.n >= 2 and (difference.low > 0 or difference.high < 0)
