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
