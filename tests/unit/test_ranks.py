"""Ranks: which poisoners are separated, and how often equal ones are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ucbench.leaderboard.separation import LEVEL, holm, p_values, places, separated

CRAFTS = 4


def values(*columns) -> dict[str, dict[int, float]]:
    return {f"p{place}": dict(enumerate(column)) for place, column in enumerate(columns)}


def board(random, entrants: int, *, sd=3.0, shared=0.0, decimals=2) -> np.ndarray:
    """Accuracies ``[crafts, entrants]`` of equal poisoners, rounded as those of 10,000 test images."""
    common = random.normal(0, shared, (CRAFTS, 1))
    return np.round(50 + common + random.normal(0, sd, (CRAFTS, entrants)), decimals)


@pytest.mark.parametrize("entrants", [5, 10, 16])
@pytest.mark.parametrize("shared", [0.0, 6.0])
def test_equal_poisoners_are_separated_in_at_most_five_percent_of_boards(entrants, shared):
    """1,500 boards: the share's standard error is 0.56 points, of which three are allowed."""
    random = np.random.default_rng(entrants)
    # Spreads of poisoners differ: from 1 to 8 points.
    spreads = np.geomspace(1, 8, entrants)
    boards = [board(random, entrants, sd=spreads, shared=shared) for _ in range(1500)]
    wrong = sum(holm(p_values(_differences(one))).min() <= LEVEL for one in boards)
    assert wrong / 1500 <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / 1500) ** 0.5


def _differences(one: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(one.shape[1], 1)
    return one[:, second] - one[:, first]


@pytest.mark.parametrize("coarse", [1, 0])
def test_rounding_alone_separates_no_equal_poisoners(coarse):
    """Accuracies of a few hundred images are rounded to a fraction of a point, so differences can agree by chance."""
    random = np.random.default_rng(1)
    found = [separated(values(*board(random, 8, sd=2.0, decimals=coarse).T)) for _ in range(300)]
    assert sum(map(bool, found)) / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_clearly_different_poisoners_are_separated():
    random = np.random.default_rng(2)
    means = np.array([10, 12, 60, 90])
    found = separated(values(*(board(random, 4, sd=0.8, shared=5) + means).T))
    assert {("p0", "p2"), ("p0", "p3"), ("p1", "p2"), ("p1", "p3"), ("p2", "p3")} <= found
    assert places(values(*np.zeros((4, 1))), found)["p3"] == "4"


def test_separation_uses_paired_differences():
    """Crafts differ by far more than the poisoners, which differ by a point on every craft."""
    assert separated(values([10, 40, 70, 30], [11.0, 41.1, 70.9, 31.0])) == {("p0", "p1")}


def test_separation_needs_four_common_crafts():
    assert not separated(values([10, 11, 12], [90, 91, 92]))
    one, other = dict.fromkeys(range(4), 10.0), dict.fromkeys(range(2, 6), 90.0)
    assert not separated({"a": one, "b": other})


def test_poisoners_with_few_crafts_do_not_weaken_the_other_tests():
    pair = values([10, 40, 70, 30], [12.0, 42.9, 72.6, 32.2])
    assert separated(pair | {f"few{i}": {0: 50.0} for i in range(30)}) == separated(pair) == {("p0", "p1")}


def test_equal_values_are_not_separated_and_no_values_raise_nothing():
    assert not separated(values([10, 20, 30, 40], [10, 20, 30, 40]))
    assert separated({}) == separated(values([1, 2, 3, 4])) == set()


@pytest.mark.parametrize(
    ("pairs", "ranges"),
    [
        (set(), {"a": "1-3", "b": "1-3", "c": "1-3"}),
        ({("a", "c")}, {"a": "1-2", "b": "1-3", "c": "2-3"}),
        ({("a", "b"), ("a", "c")}, {"a": "1", "b": "2-3", "c": "2-3"}),
        ({("a", "b"), ("a", "c"), ("b", "c")}, {"a": "1", "b": "2", "c": "3"}),
    ],
)
def test_places_are_those_that_separations_leave_open(pairs, ranges):
    assert places({"a": 0, "b": 0, "c": 0}, pairs) == ranges


@given(st.lists(st.lists(st.floats(0, 100), min_size=4, max_size=4), min_size=1, max_size=6))
def test_places_hold_the_order_of_means(columns):
    found = values(*columns)
    ranges = places(found, separated(found))
    order = sorted(found, key=lambda name: sum(found[name].values()))
    for place, name in enumerate(order, 1):
        first, _, last = ranges[name].partition("-")
        assert int(first) <= place <= int(last or first)


def test_p_values_equal_those_of_scipy():
    differences = np.random.default_rng(3).normal(1, 2, (5, 7))
    assert p_values(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    gaps = differences.copy()
    gaps[0, 2] = np.nan
    assert p_values(gaps)[2] == pytest.approx(stats.ttest_1samp(differences[1:, 2], 0).pvalue)
    assert p_values(np.array([[2.0, 0.0]] * 4)).tolist() == [0, 1]


def test_holm_equals_its_definition():
    """Sorted p-values times the number of those left, never falling and at most 1."""
    assert holm(np.array([0.03, 0.01, 0.04, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.9, 0.5])).tolist() == [1, 1]


def test_equal_worst_cases_are_separated_no_more_often():
    """Each of eight poisoners is scored under the best of six equal defenses, chosen on the same four crafts."""
    random = np.random.default_rng(4)
    found = random.normal(60, 4, (1500, 8, 6, CRAFTS)) + random.normal(0, 3, (1500, 8, 1, CRAFTS))
    best = np.take_along_axis(found, found.mean(-1).argmax(-1)[..., None, None], 2)[:, :, 0]
    wrong = sum(holm(p_values(_differences(one.T))).min() <= LEVEL for one in best)
    assert wrong / 1500 <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / 1500) ** 0.5
