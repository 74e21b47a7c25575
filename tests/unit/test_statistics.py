"""Means over seeds and their t intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.results.statistics import Interval, gap_removed, nested, t_interval


def test_interval_equals_a_known_value():
    """Mean 3, deviation sqrt(2.5), t = 2.776445 at 4 degrees of freedom."""
    found = t_interval([1, 2, 3, 4, 5])
    assert (found.mean, found.n) == (3, 5)
    assert found.half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((1.036757, 4.963243), rel=1e-6)


def test_interval_of_two_values_has_one_degree_of_freedom():
    assert t_interval([0, 2]).half == pytest.approx(12.706205, rel=1e-6)


def test_text_of_a_mean_that_rounds_to_zero_has_no_minus():
    assert Interval(-0.0004, 0.02, 4).text(1, 100) == "0.0 ± 2.0"


def test_interval_skips_missing_values():
    assert t_interval([1, math.nan, 3, None]) == t_interval([1, 3])


@pytest.mark.parametrize(("values", "mean", "n"), [([], math.nan, 0), ([math.nan], math.nan, 0), ([4], 4, 1)])
def test_interval_has_no_width_below_two_values(values, mean, n):
    found = t_interval(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found.half)
    assert found.n == n


@given(st.lists(st.floats(0, 100), min_size=2, max_size=12), st.floats(-50, 50))
def test_interval_shifts_with_its_values(values: list[float], shift: float) -> None:
    here, there = t_interval(values), t_interval([value + shift for value in values])
    assert there.mean == pytest.approx(here.mean + shift, abs=1e-6)
    assert there.half == pytest.approx(here.half, abs=1e-6)


def test_interval_covers_the_mean_as_often_as_it_says_at_any_n():
    """Of 4,000 samples the standard error of the share is 0.34 points."""
    random = np.random.default_rng(0)
    for n in (4, 8, 12):
        covered = sum(found.low <= 50 <= found.high for found in map(t_interval, random.normal(50, 3, (4000, n))))
        assert covered / 4000 == pytest.approx(0.95, abs=0.012)


def test_nested_interval_is_that_of_the_craft_means():
    """Trainings on one release are no further sample of releases."""
    values, crafts = [30, 50, 20, 20, 31, 35], [0, 0, 1, 1, 2, 2]
    found = nested(values, crafts)
    assert found.interval == t_interval([40, 20, 33])
    assert (found.trainings, found.counts) == ((2, 2), "3 x 2")


def test_nested_deviations_equal_the_analysis_of_variance():
    """By hand: pooled within (200 + 0 + 8) / 3; between the craft means 40, 20, 33 minus half of it."""
    found = nested([30, 50, 20, 20, 31, 35], [0, 0, 1, 1, 2, 2])
    assert found.training_sd == pytest.approx(math.sqrt(208 / 3))
    assert found.craft_sd == pytest.approx(math.sqrt(np.var([40, 20, 33], ddof=1) - 208 / 6))
    assert found.deviations == f"{found.craft_sd:.1f} crafts, {found.training_sd:.1f} trainings"


def test_nested_deviations_recover_those_of_a_simulation():
    random = np.random.default_rng(1)
    values = 50 + random.normal(0, 4, (800, 1)) + random.normal(0, 2, (800, 3))
    found = nested(values.ravel(), np.repeat(np.arange(800), 3))
    assert (found.craft_sd, found.training_sd) == (pytest.approx(4, rel=0.06), pytest.approx(2, rel=0.06))


def test_nested_interval_covers_the_mean_with_few_crafts():
    random = np.random.default_rng(2)
    crafts = np.repeat(np.arange(3), 3)
    samples = 50 + random.normal(0, 2, (1000, 3, 1)) + random.normal(0, 3, (1000, 3, 3))
    found = [nested(sample.ravel(), crafts).interval for sample in samples]
    assert sum(one.low <= 50 <= one.high for one in found) / 1000 == pytest.approx(0.95, abs=0.025)


def test_nested_deviations_are_unknown_with_one_training_each():
    found = nested([30, 40, 50, math.nan], [0, 1, 2, 2])
    assert found.interval == t_interval([30, 40, 50])
    assert (found.counts, found.deviations) == ("3 x 1", "")


def test_nested_craft_deviation_is_never_below_zero():
    found = nested([10, 90, 20, 80], [0, 0, 1, 1])
    assert (found.craft_sd, found.interval.mean) == (0, 50)


def test_nested_counts_say_where_trainings_differ():
    found = nested([30, 32, 40], [0, 0, 1])
    assert found.counts == "2 x 1-2"
    assert found.interval == t_interval([31, 40])
    assert nested([], []).counts == "0"


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (Interval(61.52, 2.149, 4), {}, "61.5 ± 2.1"),
        (Interval(0.325, 0.05, 4), {"decimals": 0, "factor": 100}, "32 ± 5"),
        (Interval(61.5, math.nan, 1), {}, "61.5"),
        (Interval(math.nan, math.nan, 0), {}, ""),
        (Interval(2.0, 0.5, 3), {"sign": "+"}, "+2.0 ± 0.5"),
        (Interval(8.0, 0.0, 3), {}, "8.0 ± 0.0"),
        (Interval(8.0, 0.0, 3), {"constant": False}, "8.0"),
        (t_interval([68.15, 67.85]), {}, f"68.0 ({67.85:.1f}, {68.15:.1f})"),
        (t_interval([0.2, -0.1]), {"factor": 100, "decimals": 0}, "5 (-10, 20)"),
        (t_interval([8.0, 8.0]), {}, "8.0 (8.0, 8.0)"),
        (t_interval([1.0, 2.0, 3.0]), {}, "2.0 ± 2.5"),
    ],
)
def test_text_of_an_interval_has_what_is_known(value, options, text):
    assert value.text(**options) == text


@pytest.mark.parametrize(
    ("clean", "accuracy", "chance", "removed"),
    [
        (90.0, 90.0, 10.0, 0.0),
        (90.0, 10.0, 10.0, 1.0),
        (90.0, 2.0, 10.0, 1.0),  # below chance counts as chance
        (90.0, 94.0, 10.0, -0.05),
        (60.0, 35.0, 10.0, 0.5),
        (10.0, 5.0, 10.0, math.nan),
        (8.0, 5.0, 10.0, math.nan),
        (None, 5.0, 10.0, math.nan),
        (90.0, None, 10.0, math.nan),
        (90.0, 5.0, None, math.nan),
    ],
)
def test_gap_removed_is_a_share_of_the_removable_gap(clean, accuracy, chance, removed):
    assert gap_removed(clean, accuracy, chance) == pytest.approx(removed, nan_ok=True)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 99))
@settings(max_examples=25)
def test_gap_removed_is_at_most_one(clean, accuracy, chance):
    found = gap_removed(clean, accuracy, chance)
    assert np.isnan(found) or found <= 1
