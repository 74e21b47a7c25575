"""How far two boards put the same things in the same order: Kendall's tau-b, its p-value, and an interval over seeds.

What is uncertain about an order are the accuracies behind it, and their unit is the craft seed. So the interval
resamples *seeds* and leaves the things that are ordered alone: those are a handful, chosen and not drawn, and
resampling them would repeat some (as ties) and answer for methods that nobody ran. In a resample, a seed that is drawn
twice counts twice for everything measured under it, in both boards where both have the same seeds, since these share
what was drawn; boards of different seeds are resampled apart. Things measured under a single seed, and published single
figures, stay as they are: the interval then says nothing about *their* spread, and is too narrow by that much. With few
seeds there are few different resamples (10 of 3 seeds), and percentiles of them cover less than they say; below four
seeds the interval is exploratory, as everywhere.

The p-value is of the hypothesis that the two orders have nothing to do with each other: exact where nothing is tied, or
for up to eight things, else by the normal approximation. It takes the order as given and knows nothing of seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

#: Values by what is ordered and seed; what has one value has one seed.
Scores = Mapping[str, Mapping[int, float]]
Floats = NDArray[np.float64]

_RESAMPLES = 10_000
#: Up to so many things, every permutation is tried where some are tied: 40,320 of them.
_MOST_PERMUTED = 8
#: Means that differ by less, in percent, are tied: rounding must not decide an order.
_DECIMALS = 9


@dataclass(frozen=True)
class Agreement:
    """Of two orders of the same things.

    Attributes:
        tau: tau-b, from -1 to 1; NaN where either order ties everything.
        low: of its 95 % bootstrap interval; NaN where nothing has two seeds.
        high: likewise.
        p: two-sided; NaN with ``tau``.
        exact: whether ``p`` is.
        items: how many things.
        seeds: the fewest seeds behind any of them, in either board.
    """

    tau: float
    low: float
    high: float
    p: float
    exact: bool
    items: int
    seeds: int


def agreement(one: Scores, other: Scores) -> Agreement:
    """Compare the orders by mean over seeds of the things that both have."""
    items = sorted(one.keys() & other.keys())
    first, second = ([scores[item] for item in items] for scores in (one, other))
    x, y = (np.array([math.fsum(own.values()) / len(own) for own in values]) for values in (first, second))
    tau = float(_tau(x[None], y[None])[0])
    low, high = _bootstrapped(first, second)
    p, exact = (math.nan, True) if math.isnan(tau) else _p_value(x, y)
    fewest = min((len(own) for own in (*first, *second)), default=0)
    return Agreement(tau, low, high, p, exact, len(items), fewest)


def _tau(x: Floats, y: Floats) -> Floats:
    """tau-b of every row of ``[R, items]``; NaN where one of them ties everything."""
    i, j = np.triu_indices(x.shape[1], 1)
    a, b = (np.sign(np.round(v[:, i] - v[:, j], _DECIMALS)) for v in (x, y))
    untied = np.sqrt((a != 0).sum(1) * (b != 0).sum(1, dtype=np.float64))
    taus: Floats = np.divide((a * b).sum(1), untied, out=np.full(len(x), math.nan), where=untied > 0)
    return taus


def _bootstrapped(one: Sequence[Mapping[int, float]], other: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    if max((len(own) for own in (*one, *other)), default=0) < 2:
        return math.nan, math.nan
    random = np.random.RandomState(0)
    seeds, others = (sorted({seed for own in values for seed in own}) for values in (one, other))
    counts = _counts(random, len(seeds))
    resampled = _resampled(one, seeds, counts)
    taus = _tau(resampled, _resampled(other, others, counts if seeds == others else _counts(random, len(others))))
    kept = taus[~np.isnan(taus)]
    if not len(kept):
        return math.nan, math.nan
    low, high = np.quantile(kept, (0.025, 0.975))
    return float(low), float(high)


def _counts(random: np.random.RandomState, seeds: int) -> Floats:
    """How often each seed is drawn: ``[R, seeds]``."""
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES).astype(np.float64)


def _resampled(values: Sequence[Mapping[int, float]], seeds: Sequence[int], counts: Floats) -> Floats:
    """Mean of each thing over its drawn seeds, ``[R, items]``; over all of its own where none of them was drawn."""
    table = np.array([[own.get(seed, 0.0) for seed in seeds] for own in values])
    known = np.array([[float(seed in own) for seed in seeds] for own in values])
    weight = counts @ known.T
    plain = table.sum(1) / known.sum(1)
    means: Floats = np.divide(counts @ table.T, weight, out=np.tile(plain, (len(counts), 1)), where=weight > 0)
    return means


def _p_value(x: Floats, y: Floats) -> tuple[float, bool]:
    x, y = np.round(x, _DECIMALS), np.round(y, _DECIMALS)
    tied = len(np.unique(x)) < len(x) or len(np.unique(y)) < len(y)
    if tied and len(x) <= _MOST_PERMUTED:
        orders = np.array(list(itertools.permutations(range(len(y)))))
        taus = _tau(np.tile(x, (len(orders), 1)), y[orders])
        return float((np.abs(taus) >= abs(_tau(x[None], y[None])[0]) - 1e-12).mean()), True
    found = stats.kendalltau(x, y, method="asymptotic" if tied else "exact")
    return float(found.pvalue), not tied
