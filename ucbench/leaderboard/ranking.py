"""The highest accuracy that an exploiter reaches, and what a poisoner removes of it, with the craft as the unit.

For a poisoner p, W(p) is the highest mean accuracy that an exploiter reaches over the ranked defenses, of which doing
nothing is one: W(p) is never below the accuracy without defense. The maximum of noisy means is biased upwards; the bias
is estimated and stated beside it. The effect is (W(clean) - W(p)) / (W(clean) - chance), where W(clean) is the accuracy
of the same exploiter on clean images.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ucbench.matrix.compatibility import applies
from ucbench.plugins.builtin import NO_DEFENSE, REFERENCES
from ucbench.plugins.registry import installed
from ucbench.results.statistics import Interval, gap_removed, t_interval


def accuracies_of(members: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy in percent by ``unit`` (rows) and defense (columns); NaN where a defense lacks a unit.

    Args:
        members: finished rows of :func:`ucbench.results.table.rows`.
    """
    return members.pivot_table("test_accuracy", "unit", "defense", sort=False).sort_index()


def unranked(table: pd.DataFrame) -> frozenset[str]:
    """Base names of the references and of the table's oracles, which get no rank."""
    return frozenset({*REFERENCES, *table.loc[table["oracle"], "base"]})


def with_none(defenses: Sequence[str], run: pd.Series) -> tuple[str, ...]:
    """The ranked ``defenses``, each once, and the undefended exploiter before them if a list leaves out what was run.

    Args:
        run: the defenses of the rows at hand.
    """
    added = NO_DEFENSE not in defenses and bool((run == NO_DEFENSE).any())
    return tuple(dict.fromkeys((NO_DEFENSE, *defenses) if added else defenses))


def usable(defenses: Sequence[str], victim: str) -> tuple[str, ...]:
    """Those of ``defenses`` that the victim can use: one that trains itself, none that takes part in training."""
    return tuple(defense for defense in defenses if applies(defense, victim, installed()))


@dataclass(frozen=True)
class WorstCase:
    """The highest mean accuracy that exploiters reach, in percent.

    Attributes:
        by_seed: accuracy of each craft (of each training on clean images) under the best defense.
        defense: the best defense.
        bias: estimated points by which selection raises the mean; NaN with one craft.
    """

    by_seed: Mapping[int, float]
    defense: str
    bias: float = math.nan

    @property
    def accuracy(self) -> Interval:
        return t_interval(self.by_seed.values())


def lacking(accuracies: pd.DataFrame, defenses: Sequence[str]) -> tuple[str, ...]:
    """Those of ``defenses`` that lack a craft which another of them has; all of them where none has any.

    Args:
        accuracies: as of :func:`accuracies_of`.
    """
    ranked = accuracies.reindex(columns=list(defenses)).dropna(how="all")
    return tuple(defense for defense in defenses if ranked.empty or ranked[defense].isna().any())


def worst_case(accuracies: pd.DataFrame, defenses: Sequence[str]) -> WorstCase | None:
    """W over ``defenses``, the first of equals; None without any, and where one of them is :func:`lacking`.

    Args:
        accuracies: as of :func:`accuracies_of`.
    """
    if not defenses or lacking(accuracies, defenses):
        return None
    ranked = accuracies[list(defenses)].dropna(how="all").sort_index()
    # fmean is exact: equal values tie whatever their order.
    means = ranked.apply(statistics.fmean)
    return WorstCase(ranked[means.idxmax()].to_dict(), str(means.idxmax()), selection_bias(ranked.to_numpy()))


def selection_bias(accuracies: np.ndarray) -> float:
    """Estimated bias of the highest of several means: that mean minus the score of another selection, at least 0.

    A half of the crafts selects a defense and the other half scores it; the score is the mean over the n halves of
    consecutive crafts, around the end. A half selects less well than all, so the estimate is rather too high.

    Args:
        accuracies: ``[crafts, defenses]``; NaN results from a single craft.
    """
    crafts, defenses = accuracies.shape
    if crafts < 2:
        return math.nan
    if defenses == 1:
        return 0.0
    scores = []
    for first in range(crafts):
        turned = np.roll(accuracies, -first, 0)
        selecting, scoring = np.split(turned, [(crafts + 1) // 2])
        scores.append(scoring[:, selecting.mean(0).argmax()].mean())
    return max(float(accuracies.mean(0).max() - np.mean(scores)), 0.0)


def effect(clean: Mapping[int, float], poisoned: WorstCase, chance: float) -> Interval:
    """Share of the gap between clean accuracy and ``chance`` (percent) that the poisoner removes, over common crafts.

    Leaves out crafts whose clean accuracy is not above chance.

    Args:
        clean: clean accuracy beside each craft, as of :func:`clean_beside`.
    """
    shared = sorted(poisoned.by_seed.keys() & clean.keys())
    before, after = ([values[seed] for seed in shared] for values in (clean, poisoned.by_seed))
    return t_interval(gap_removed(before, after, chance))


def clean_beside(cells: pd.DataFrame, clean: WorstCase) -> dict[int, float]:
    """For each craft, the mean clean accuracy over the train seeds of its own trainings.

    Args:
        cells: a poisoner's rows under one defense.
    """
    beside = cells["train_seed"].map(clean.by_seed).groupby(cells["unit"]).mean().dropna()
    return {int(craft): float(accuracy) for craft, accuracy in beside.items()}
