"""Ranking poisoners by the best an exploiter can do, with the craft seed as the unit.

For a poisoner p, W(p) is the highest mean accuracy that an exploiter reaches over the ranked defenses. The maximum of
noisy means would be too high by luck, so the defense is chosen on one half of the seeds and scored on the other, both
ways. The effect is (W(clean) - W(p)) / (W(clean) - chance), W(clean) being what the same exploiter reaches on clean
images.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ucbench.plugins.builtin import CLEAN, POSITIVE, SHAM, SHUFFLED
from ucbench.results.statistics import Interval, gap_removed, interval


def accuracies_of(members: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy in percent by ``unit`` (rows) and defense (columns); NaN where a defense lacks a unit.

    Args:
        members: finished rows of :func:`ucbench.results.rows`.
    """
    return members.pivot_table("test_accuracy", "unit", "defense", sort=False).sort_index()


def unranked(table: pd.DataFrame) -> frozenset[str]:
    """Base names of the references and of the table's oracles, which are shown without a rank."""
    return frozenset({CLEAN, SHAM, POSITIVE, SHUFFLED, *table.loc[table["oracle"], "base"]})


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
        return interval(self.by_seed.values())


def worst_case(accuracies: pd.DataFrame, defenses: Sequence[str]) -> WorstCase | None:
    """W over ``defenses``; None while one of them lacks a seed that another has.

    A single seed chooses the defense that it is scored on, so its accuracy is too high.

    Args:
        accuracies: as of :func:`accuracies_of`.
    """
    if not defenses or not set(defenses) <= set(accuracies.columns):
        return None
    ranked = accuracies[list(defenses)].dropna(how="all").sort_index()
    if ranked.empty or ranked.isna().any(axis=None):
        return None
    halves = (ranked[::2], ranked[1::2]) if len(ranked) > 1 else (ranked, ranked)
    # fmean: equal values in another order must tie, whatever the order of the sum.
    chosen = [half.apply(statistics.fmean).idxmax() for half in halves]
    scored = pd.concat([half[other] for half, other in zip(halves, reversed(chosen), strict=True)][: len(ranked)])
    return WorstCase(scored.sort_index().to_dict(), tuple(dict.fromkeys(chosen)))


def effect(clean: WorstCase, poisoned: WorstCase, chance: float) -> Interval:
    """Share of the gap between clean accuracy and ``chance`` (percent) that is gone, over seeds.

    Seeds that only one of them has are left out, as are those whose clean accuracy is no more than chance.
    """
    shared = sorted(poisoned.by_seed.keys() & clean.by_seed.keys())
    before, after = ([case.by_seed[seed] for seed in shared] for case in (clean, poisoned))
    return interval(gap_removed(before, after, chance))


def ranks(cases: Mapping[str, WorstCase]) -> dict[str, int]:
    """Rank of every poisoner by W, the lowest first.

    A poisoner shares the rank of the first of the group before it unless the interval of their paired differences,
    over the seeds both have, leaves 0 out; with fewer than two shared seeds nothing separates them.
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
