"""Means and their intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


class Interval(NamedTuple):
    """A mean with the half-width of its 95 % interval (NaN below two values) and the number of values."""

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def text(self, decimals: int = 1, factor: float = 1.0, *, sign: str = "", constant: bool = True) -> str:
        """``61.5 ± 2.1``; the mean alone where there is no interval, and nothing where there is no mean.

        Args:
            factor: what mean and half-width are multiplied by, such as 100 for a fraction shown in percent.
            sign: ``+`` to write the sign of positive means too.
            constant: whether a half-width of exactly 0 is written. It says nothing about a constant such as a radius.
        """
        if math.isnan(self.mean):
            return ""
        mean = f"{factor * self.mean:{sign}.{decimals}f}"
        if math.isnan(self.half) or (self.half == 0 and not constant):
            return mean
        return f"{mean} ± {factor * self.half:.{decimals}f}"


def t_interval(values: Iterable[float | None], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean of independent ``values``; NaN and None are left out."""
    present = _present(values)
    if len(present) < 2:
        return Interval(float(present[0]) if len(present) else math.nan, math.nan, len(present))
    quantile = float(stats.t.ppf(0.5 + confidence / 2, len(present) - 1))
    half = quantile * float(present.std(ddof=1)) / math.sqrt(len(present))
    return Interval(float(present.mean()), half, len(present))


#: From this many values on, the interval of a mean is bootstrapped.
BOOTSTRAP_FROM = 8
_RESAMPLES = 10_000


def interval(values: Iterable[float | None]) -> Interval:
    """The 95 % interval of a mean over seeds: Student's, or bootstrapped from :data:`BOOTSTRAP_FROM` values on.

    The bootstrap resamples the values 10,000 times from a fixed seed. Its wider side becomes the half-width, so that
    it is written as Student's.
    """
    present = _present(values)
    plain = t_interval(present)
    if plain.n < BOOTSTRAP_FROM:
        return plain
    draws = np.random.RandomState(0).randint(0, len(present), (_RESAMPLES, len(present)))
    low, high = np.quantile(present[draws].mean(1), (0.025, 0.975))
    return Interval(plain.mean, float(max(plain.mean - low, high - plain.mean)), plain.n)


def _present(values: Iterable[float | None]) -> NDArray[np.float64]:
    array = np.array(list(values), dtype=np.float64)
    return array[~np.isnan(array)]


def gap_removed(clean: ArrayLike, accuracy: ArrayLike, chance: ArrayLike) -> NDArray[np.float64]:
    """(clean - accuracy) / (clean - chance), elementwise; an accuracy below chance counts as chance.

    NaN where a value is missing, or clean accuracy is not above chance.
    """
    clean, accuracy, chance = (np.asarray(value, dtype=np.float64) for value in (clean, accuracy, chance))
    gap = np.where(clean > chance, clean - chance, np.nan)
    removed: NDArray[np.float64] = (clean - np.maximum(accuracy, chance)) / gap
    return removed
