"""How far two orders of the same items agree: Kendall's tau-b, its p-value, and an interval over seeds.

The uncertainty of an order comes from the accuracies behind it, whose unit is the craft seed. So the interval resamples
*seeds* and keeps the items: these are a few selected methods, not a random sample, and resampling them would create
ties. A seed that is drawn twice counts twice for all items. Boards with the same seeds share the drawn seeds, since
they share random numbers; boards with different seeds are resampled independently. Items with a single seed, and single
published figures, stay unchanged, so the interval ignores *their* spread and is too narrow. With few seeds there are
few different resamples (10 of 3 seeds), and the percentile interval covers less than 95 %; below four seeds it is
exploratory, as everywhere.

The null hypothesis of the p-value is that the two orders are independent. It is exact without ties, and for up to eight
items; otherwise it uses the normal approximation. It takes the means as fixed and ignores the spread over seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

#: Values by item and seed.
Scores = Mapping[str, Mapping[int, float]]
Floats = NDArray[np.float64]

_RESAMPLES = 10_000
#: With ties, the most items for which all permutations are computed: 40,320 of them.
_MOST_PERMUTED = 8
#: Means that are equal when rounded to so many decimals, in percent, are tied: rounding must not decide an order.
_DECIMALS = 9


class Agreement(NamedTuple):
    """Agreement of two orders of the same items.

    Attributes:
        tau: tau-b, from -1 to 1; NaN where either order ties everything.
        low: lower end of its 95 % bootstrap interval; NaN where no item has two seeds.
        high: upper end.
        p: two-sided p-value; NaN where ``tau`` is.
        exact: whether ``p`` is exact.
        items: number of items.
        seeds: the fewest seeds of any item, in either board.
    """

    tau: float
    low: float
    high: float
    p: float
    exact: bool
    items: int
    seeds: int

    @property
    def tau_text(self) -> str:
        """Tau with two decimals, or ``all tied``; empty for a single item, which has no order."""
        if math.isnan(self.tau):
            return "all tied" if self.items > 1 else ""
        return f"{self.tau:.2f}"

    @property
    def interval_text(self) -> str:
        """The interval of tau; empty without one."""
        return "" if math.isnan(self.low) else f"{self.low:.2f} to {self.high:.2f}"


def agreement(one: Scores, other: Scores) -> Agreement:
    """Compare the orders of the common items by mean over seeds."""
    items = sorted(one.keys() & other.keys())
    first, second = ([scores[item] for item in items] for scores in (one, other))
    x, y = (np.array([math.fsum(seeds.values()) / len(seeds) for seeds in values]) for values in (first, second))
    tau = float(_tau(x[None], y[None])[0])
    low, high = _bootstrap(first, second)
    p, exact = (math.nan, True) if math.isnan(tau) else _p_value(x, y)
    fewest = min(map(len, (*first, *second)), default=0)
    return Agreement(tau, low, high, p, exact, len(items), fewest)


def _tau(x: Floats, y: Floats) -> Floats:
    """tau-b of each row of ``[R, items]``; NaN where either side ties everything."""
    i, j = np.triu_indices(x.shape[1], 1)
    a, b = (np.sign(np.round(v[:, i] - v[:, j], _DECIMALS)) for v in (x, y))
    untied = np.sqrt((a != 0).sum(1) * (b != 0).sum(1, dtype=np.float64))
    taus: Floats = np.divide((a * b).sum(1), untied, out=np.full(len(x), math.nan), where=untied > 0)
    return taus


def _bootstrap(one: Sequence[Mapping[int, float]], other: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of tau; NaN where no item has two seeds, or every resample is all tied."""
    if max(map(len, (*one, *other)), default=0) < 2:
        return math.nan, math.nan
    random = np.random.RandomState(0)
    seeds, other_seeds = (sorted({seed for item in values for seed in item}) for values in (one, other))
    counts = _counts(random, len(seeds))
    other_counts = counts if seeds == other_seeds else _counts(random, len(other_seeds))
    taus = _tau(_resampled(one, seeds, counts), _resampled(other, other_seeds, other_counts))
    taus = taus[~np.isnan(taus)]
    if not len(taus):
        return math.nan, math.nan
    low, high = np.quantile(taus, (0.025, 0.975))
    return float(low), float(high)


def _counts(random: np.random.RandomState, seeds: int) -> Floats:
    """How often each seed is drawn: ``[R, seeds]``."""
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES).astype(np.float64)


def _resampled(values: Sequence[Mapping[int, float]], seeds: Sequence[int], counts: Floats) -> Floats:
    """Mean of each item over its drawn seeds, ``[R, items]``; over all of its seeds where none was drawn."""
    table = np.array([[item.get(seed, 0.0) for seed in seeds] for item in values])
    known = np.array([[float(seed in item) for seed in seeds] for item in values])
    weight = counts @ known.T
    plain = table.sum(1) / known.sum(1)
    means: Floats = np.divide(counts @ table.T, weight, out=np.tile(plain, (len(counts), 1)), where=weight > 0)
    return means


def _p_value(x: Floats, y: Floats) -> tuple[float, bool]:
    """The two-sided p-value, and whether it is exact."""
    x, y = np.round(x, _DECIMALS), np.round(y, _DECIMALS)
    tied = len(np.unique(x)) < len(x) or len(np.unique(y)) < len(y)
    if tied and len(x) <= _MOST_PERMUTED:
        orders = np.array(list(itertools.permutations(range(len(y)))))
        taus = _tau(np.tile(x, (len(orders), 1)), y[orders])
        return float((np.abs(taus) >= abs(_tau(x[None], y[None])[0]) - 1e-12).mean()), True
    return float(stats.kendalltau(x, y, method="asymptotic" if tied else "exact").pvalue), not tied
