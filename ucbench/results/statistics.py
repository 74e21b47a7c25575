"""Means and their intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with the half-width of its 95 % t interval (NaN below two values) and the number of values."""

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean of independent ``values``; NaN and None are left out."""
    kept = np.array([value for value in values if value is not None and not math.isnan(value)], dtype=np.float64)
    if not len(kept):
        return Interval(math.nan, math.nan, 0)
    if len(kept) == 1:
        return Interval(float(kept[0]), math.nan, 1)
    quantile = float(stats.t.ppf(0.5 + confidence / 2, len(kept) - 1))
    return Interval(float(kept.mean()), quantile * float(kept.std(ddof=1)) / math.sqrt(len(kept)), len(kept))


#: From this many values on, the interval of a mean is bootstrapped.
BOOTSTRAP_FROM = 8
_RESAMPLES = 10_000


def interval(values: Sequence[float]) -> Interval:
    """The 95 % interval of a mean over seeds: Student's, or bootstrapped from :data:`BOOTSTRAP_FROM` values on.

    The bootstrap resamples the values 10,000 times from a fixed seed; its interval is made symmetric by the wider side,
    so that it is written, as the other, by one half-width.
    """
    plain = t_interval(values)
    if plain.n < BOOTSTRAP_FROM:
        return plain
    kept = np.array([value for value in values if value is not None and not math.isnan(value)], dtype=np.float64)
    draws = np.random.RandomState(0).randint(0, len(kept), (_RESAMPLES, len(kept)))
    low, high = np.quantile(kept[draws].mean(1), (0.025, 0.975))
    return Interval(plain.mean, float(max(plain.mean - low, high - plain.mean)), plain.n)
