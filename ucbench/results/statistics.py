"""Means and their intervals over seeds."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

#: Fewer crafts than these are exploratory.
ENOUGH_CRAFTS = 4
#: What :meth:`Interval.text` writes in parentheses, below tables that have them.
BOTH = "Parentheses: both values behind a mean of two, whose interval would say little."


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

    @property
    def is_shown(self) -> bool:
        """Whether texts and figures have the interval: of two values it is 12.7 times as wide as they are apart."""
        return self.n != 2 and not math.isnan(self.half)

    @property
    def drawn_half(self) -> float:
        """The half-width of a bar: 0 where it is not shown."""
        return self.half if self.is_shown else 0.0

    @property
    def both(self) -> tuple[float, float]:
        """The two values behind a mean of two, the lower first."""
        if self.n != 2:
            raise ValueError(f"A mean of {self.n} values does not tell them.")
        half = self.half / _quantile(1)
        return self.mean - half, self.mean + half

    def text(self, decimals: int = 1, factor: float = 1.0, *, sign: str = "", constant: bool = True) -> str:
        """``61.5 ± 2.1``, or of two values both, ``68.0 (67.9, 68.1)``.

        The mean alone without an interval, and an empty text without a mean.

        Args:
            factor: multiplies mean and half-width, such as 100 to show a fraction in percent.
            sign: ``+`` to write the sign of positive means too.
            constant: whether to write a half-width of exactly 0, which is meaningless for constants such as a radius.
        """
        if math.isnan(self.mean):
            return ""
        mean = f"{factor * self.mean:{sign}z.{decimals}f}"  # z: no minus before zero
        if math.isnan(self.half) or (self.half == 0 and not constant):
            return mean
        if not self.is_shown:
            # Rounded first, because a value half-way between two digits comes back with another last bit.
            values = (f"{round(factor * value, 9):{sign}z.{decimals}f}" for value in self.both)
            return f"{mean} ({', '.join(values)})"
        return f"{mean} ± {factor * self.half:.{decimals}f}"


def t_interval(values: Iterable[float | None]) -> Interval:
    """Student's t interval of the mean of independent ``values``, at 95 %; ignores NaN and None."""
    present = np.array(list(values), dtype=np.float64)
    present = present[~np.isnan(present)]
    if len(present) < 2:
        return Interval(float(present[0]) if len(present) else math.nan, math.nan, len(present))
    half = _quantile(len(present) - 1) * float(present.std(ddof=1)) / math.sqrt(len(present))
    return Interval(float(present.mean()), half, len(present))


@functools.cache
def _quantile(freedom: int) -> float:
    """Student's t at 97.5 %; SciPy takes longer for it than for all the rest of an interval."""
    return float(stats.t.ppf(0.975, freedom))


def accuracy_low(accuracies: Sequence[float], images: int | None) -> float:
    """Lower end of the 95 % interval of a mean accuracy in percent; NaN where none is known.

    The lower of two ends: Student's over the trainings, from two on, which does not see that all may be right or wrong
    on the same few images, and Clopper and Pearson's exact one of their mean over the test images (Biometrika 26,
    1934).

    Args:
        accuracies: one per training.
        images: number of test images; None if it is unknown.
    """
    mean, low = float(np.mean(accuracies)), t_interval(accuracies).low
    if not images:
        return low
    right = mean / 100 * images
    over_images = 100 * float(stats.beta.ppf(0.025, right, images - right + 1)) if right > 0 else 0.0
    return over_images if math.isnan(low) else min(over_images, low)


class Nested(NamedTuple):
    """Trainings nested in crafts: several victims trained on each of several releases.

    Attributes:
        interval: of the mean over crafts.
        trainings: fewest and most trainings of a craft; zeros without any.
        craft_sd: standard deviation over crafts without the part of the trainings; NaN where that is unknown.
        training_sd: standard deviation over trainings on one release, pooled; NaN if no release has two.
        means: of each craft.
    """

    interval: Interval
    trainings: tuple[int, int]
    craft_sd: float
    training_sd: float
    means: Mapping[int, float]

    @property
    def trainings_text(self) -> str:
        """``3``, or ``2-3`` where crafts differ; empty without any."""
        fewest, most = self.trainings
        return "" if not most else f"{most}" if fewest == most else f"{fewest}-{most}"

    @property
    def counts(self) -> str:
        """Crafts and trainings on each: ``4 x 3``."""
        return f"{self.interval.n} x {self.trainings_text}" if self.interval.n else "0"

    @property
    def deviations(self) -> str:
        """``2.1 crafts, 1.3 trainings``: the standard deviations as far as they are known."""
        known = {"crafts": self.craft_sd, "trainings": self.training_sd}
        return ", ".join(f"{value:.1f} {what}" for what, value in known.items() if not math.isnan(value))


def nested(values: Iterable[float], crafts: Iterable[int]) -> Nested:
    """The mean and variance components of one value per training; ignores NaN.

    The craft is the unit: trainings on one release are averaged, and the interval is Student's t over the means of the
    crafts. With equal numbers of trainings this is the exact interval of the random-effects model *value = mean + craft
    + training*: the variance of a craft's mean is craft variance + training variance / trainings, which is what the
    craft means show, however the two components divide. With different numbers the craft means have different
    variances; the unweighted mean stays unbiased, and the interval is approximate.

    Training variance is pooled within crafts, by degrees of freedom. Craft variance is the variance of the craft means
    minus training variance x mean of (1 / trainings), and at least 0. Without a release that has two trainings the two
    cannot be separated, so both are unknown.

    Crafts are independent only if no two share a train seed. Where seeds cross, what a train seed does to all crafts is
    in neither the interval nor the deviation over crafts.

    Args:
        crafts: the craft of each value.
    """
    by_craft: dict[int, list[float]] = {}
    for value, craft in zip(values, crafts, strict=True):
        if not math.isnan(value):
            by_craft.setdefault(craft, []).append(float(value))
    # Plain numbers: pandas takes a hundred times as long for a group of a few.
    counts = [len(of_craft) for of_craft in by_craft.values()]
    means = {craft: math.fsum(of_craft) / len(of_craft) for craft, of_craft in by_craft.items()}
    freedom = sum(counts) - len(counts)
    squares = math.fsum((value - means[craft]) ** 2 for craft, of_craft in by_craft.items() for value in of_craft)
    within = squares / freedom if freedom else math.nan
    craft_sd = math.nan
    if len(means) > 1 and freedom:
        between = statistics.variance(means.values()) - within * statistics.fmean(1 / n for n in counts)
        craft_sd = math.sqrt(max(between, 0.0))
    trainings = (min(counts), max(counts)) if counts else (0, 0)
    return Nested(t_interval(means.values()), trainings, craft_sd, math.sqrt(within), means)


def gap_removed(clean: ArrayLike, accuracy: ArrayLike, chance: ArrayLike) -> NDArray[np.float64]:
    """(clean - accuracy) / (clean - chance), elementwise; an accuracy below chance counts as chance.

    NaN where a value is missing, or clean accuracy is not above chance.
    """
    clean, accuracy, chance = (np.asarray(value, dtype=np.float64) for value in (clean, accuracy, chance))
    gap = np.where(clean > chance, clean - chance, np.nan)
    removed: NDArray[np.float64] = (clean - np.maximum(accuracy, chance)) / gap
    return removed
