"""Which of several poisoners differ: paired tests with a correction for their number, and the places left open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ucbench.results.statistics import ENOUGH_CRAFTS

#: The probability, at most, that any two of equal poisoners are separated.
LEVEL = 0.05


def separated(values: Mapping[str, Mapping[int, float]]) -> set[tuple[str, str]]:
    """Pairs ``(lower, higher)`` of names whose means differ: paired t tests over common crafts, with Holm's correction.

    The correction is over all pairs that can be tested, so that the probability to separate any two equal ones is at
    most :data:`LEVEL`, whatever they have in common (Holm, Scandinavian Journal of Statistics 6, 1979). It assumes
    differences that are roughly normal. Pairs with fewer than :data:`ENOUGH_CRAFTS` common crafts are not tested: their
    few differences can be equal by rounding alone.

    Args:
        values: a number per craft, by name.
    """
    names = list(values)
    table = pd.DataFrame({name: pd.Series(dict(values[name]), dtype=float) for name in names})
    one, other = np.triu_indices(len(names), 1)
    differences = table.to_numpy()[:, other] - table.to_numpy()[:, one]
    enough = (~np.isnan(differences)).sum(0) >= ENOUGH_CRAFTS
    pairs, differences = np.column_stack((one, other))[enough], differences[:, enough]
    differ = holm(p_values(differences)) <= LEVEL
    ordered = np.where(np.nanmean(differences[:, differ], 0)[:, None] > 0, pairs[differ], pairs[differ][:, ::-1])
    return {(names[first], names[second]) for first, second in ordered}


def p_values(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p-values of Student's t test that a column's mean is 0, ``[crafts, columns]``; ignores NaN.

    A column of equal values has p = 0, or 1 if they are 0.
    """
    n = (~np.isnan(differences)).sum(0)
    means = np.nansum(differences, 0) / n
    errors = np.sqrt(np.nansum((differences - means) ** 2, 0) / (n - 1) / n)
    # Rounding errors of equal differences are not a spread.
    errors = np.where(errors < 1e-9, 0.0, errors)
    means = np.where(np.abs(means) < 1e-9, 0.0, means)
    ratios = np.divide(np.abs(means), errors, out=np.where(means == 0, 0.0, np.inf), where=errors > 0)
    p: NDArray[np.float64] = 2 * stats.t.sf(ratios, n - 1)
    return p


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's adjusted p-values, along the last axis."""
    order = p.argsort(-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, -1), 1.0), -1)
    return adjusted


def places(names: Mapping[str, object], pairs: set[tuple[str, str]]) -> dict[str, str]:
    """The range of places that the separated ``pairs`` (lower, higher) leave to each name: ``1-3``, or ``1``.

    It goes from 1 + the number of those separated below it to the number of all - those separated above it.
    """
    ranges = {}
    for name in names:
        first = 1 + sum(higher == name for _, higher in pairs)
        last = len(names) - sum(lower == name for lower, _ in pairs)
        ranges[name] = f"{first}" if first == last else f"{first}-{last}"
    return ranges
