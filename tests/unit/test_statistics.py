"""Means over seeds and their t intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.results.statistics import Interval, interval, t_interval


def test_interval_equals_a_known_value():
    """Mean 3, deviation sqrt(2.5), t = 2.776445 at 4 degrees of freedom."""
    found = t_interval([1, 2, 3, 4, 5])
    assert (found.mean, found.n) == (3, 5)
    assert found.half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((1.036757, 4.963243), rel=1e-6)


def test_interval_of_two_values_follows_the_confidence():
    assert t_interval([0, 2]).half == pytest.approx(12.706205, rel=1e-6)
    assert t_interval([0, 2], confidence=0.9).half == pytest.approx(6.313752, rel=1e-6)


def test_interval_skips_missing_values():
    assert t_interval([1, math.nan, 3, None]) == t_interval([1, 3])


@pytest.mark.parametrize(("values", "mean", "n"), [([], math.nan, 0), ([math.nan], math.nan, 0), ([4], 4, 1)])
def test_interval_has_no_width_below_two_values(values, mean, n):
    found = t_interval(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found.half)
    assert found.n == n


@given(st.lists(st.floats(0, 100), min_size=2, max_size=12), st.floats(-50, 50))
@settings(deadline=None)
def test_interval_shifts_with_its_values(values: list[float], shift: float) -> None:
    here, there = t_interval(values), t_interval([value + shift for value in values])
    assert there.mean == pytest.approx(here.mean + shift, abs=1e-6)
    assert there.half == pytest.approx(here.half, abs=1e-6)


def test_interval_is_bootstrapped_reproducibly_from_eight_values():
    values = [1.0, 2, 3, 4, 5, 6, 7, 30]
    assert interval(values[:7]) == t_interval(values[:7])
    found = interval(values)
    assert found == interval(values)
    assert found.mean == t_interval(values).mean
    assert found.half != t_interval(values).half
    # Of a mean of eight values the deviation is 1/sqrt(8) of theirs, and 95 % lie within some two of it.
    assert 1.4 < found.half / (np.std(values) / math.sqrt(8)) < 2.6


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (Interval(61.52, 2.149, 4), {}, "61.5 ± 2.1"),
        (Interval(0.325, 0.05, 4), {"decimals": 0, "factor": 100}, "32 ± 5"),
        (Interval(61.5, math.nan, 1), {}, "61.5"),
        (Interval(math.nan, math.nan, 0), {}, ""),
        (Interval(2.0, 0.5, 2), {"sign": "+"}, "+2.0 ± 0.5"),
        (Interval(8.0, 0.0, 3), {}, "8.0 ± 0.0"),
        (Interval(8.0, 0.0, 3), {"constant": False}, "8.0"),
    ],
)
def test_text_of_an_interval_has_what_is_known(value, options, text):
    assert value.text(**options) == text
