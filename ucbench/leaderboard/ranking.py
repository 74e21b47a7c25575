"""Ranks poisoners by the highest accuracy that an exploiter reaches, with the craft seed as the unit.

For a poisoner p, W(p) is the highest mean accuracy that an exploiter reaches over the ranked defenses. The maximum of
noisy means is biased upwards, so the defense is selected on one half of the seeds and scored on the other, both ways.
The effect is (W(clean) - W(p)) / (W(clean) - chance), where W(clean) is the accuracy of the same exploiter on clean
images.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ucbench.plugins.builtin import CLEAN, POSITIVE, SHAM, SHUFFLED
from ucbench.results.statistics import Interval, gap_removed, t_interval


def accuracies_of(members: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy in percent by ``unit`` (rows) and defense (columns); NaN where a defense lacks a unit.

    Args:
        members: finished rows of :func:`ucbench.results.table.rows`.
    """
    return members.pivot_table("test_accuracy", "unit", "defense", sort=False).sort_index()


def unranked(table: pd.DataFrame) -> frozenset[str]:
    """Base names of the references and of the table's oracles, which get no rank."""
    return frozenset({CLEAN, SHAM, POSITIVE, SHUFFLED, *table.loc[table["oracle"], "base"]})


@dataclass(frozen=True)
class WorstCase:
    """The highest accuracy that exploiters reach.

    Attributes:
        by_seed: accuracy of each seed under the defense that the *other* half of the seeds selected.
        defenses: the selected defenses.
    """

    by_seed: Mapping[int, float]
    defenses: tuple[str, ...]

    @property
    def accuracy(self) -> Interval:
        return t_interval(self.by_seed.values())


def worst_case(accuracies: pd.DataFrame, defenses: Sequence[str]) -> WorstCase | None:
    """W over ``defenses``; None where one of them lacks a seed that another has.

    With a single seed, selection and score use the same seed, so the accuracy is biased upwards.

    Args:
        accuracies: as of :func:`accuracies_of`.
    """
    if not defenses or not set(defenses) <= set(accuracies.columns):
        return None
    ranked = accuracies[list(defenses)].dropna(how="all").sort_index()
    if ranked.empty or ranked.isna().any(axis=None):
        return None
    halves = (ranked[::2], ranked[1::2]) if len(ranked) > 1 else (ranked, ranked)
    # fmean is exact: equal values tie whatever their order.
    best = [half.apply(statistics.fmean).idxmax() for half in halves]
    scored = pd.concat([half[defense] for half, defense in zip(halves, reversed(best), strict=True)][: len(ranked)])
    return WorstCase(scored.sort_index().to_dict(), tuple(dict.fromkeys(best)))


def effect(clean: WorstCase, poisoned: WorstCase, chance: float) -> Interval:
    """Share of the gap between clean accuracy and ``chance`` (percent) that the poisoner removes, over common seeds.

    Leaves out seeds whose clean accuracy is not above chance.
    """
    shared = sorted(poisoned.by_seed.keys() & clean.by_seed.keys())
    before, after = ([case.by_seed[seed] for seed in shared] for case in (clean, poisoned))
    return t_interval(gap_removed(before, after, chance))


def ranks(cases: Mapping[str, WorstCase]) -> dict[str, int]:
    """Rank of every poisoner by W, the lowest first.

    A poisoner shares the rank of the first of the group before it unless the interval of their paired differences, over
    common seeds, excludes 0; two poisoners with fewer than two common seeds cannot be separated.
    """
    order = sorted(cases, key=lambda name: (cases[name].accuracy.mean, name))
    rank_of: dict[str, int] = {}
    first = ""
    for position, name in enumerate(order, 1):
        if not first or _differs(cases[first], cases[name]):
            first, rank_of[name] = name, position
        else:
            rank_of[name] = rank_of[first]
    return rank_of


def _differs(one: WorstCase, other: WorstCase) -> bool:
    shared = sorted(one.by_seed.keys() & other.by_seed.keys())
    difference = t_interval([other.by_seed[seed] - one.by_seed[seed] for seed in shared])
    return difference.n >= 2 and (difference.low > 0 or difference.high < 0)
