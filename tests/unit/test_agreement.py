"""Orders of the same things: tau-b against scipy, and what the interval over seeds must and must not do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ucbench.leaderboard.agreement import agreement


def single(values) -> dict:
    return {str(place): {0: float(value)} for place, value in enumerate(values)}


@pytest.mark.parametrize("seed", range(8))
def test_kendall_tau_equals_scipy_with_and_without_ties(seed):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 4 + 20 * (seed % 2), (2, 7))
    found = agreement(single(x), single(y))
    assert found.tau == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.items == 7


def test_kendall_p_value_is_exact_without_ties_and_permuted_with_ties():
    x, y = [1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 5, 6]
    found = agreement(single(x), single(y))
    assert found.exact
    assert found.p == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue)
    tied = [1, 2, 3, 3]
    found = agreement(single(tied), single([1, 2, 3, 4]))
    as_far = [
        abs(stats.kendalltau(tied, order).statistic) >= found.tau - 1e-9 for order in itertools.permutations(range(4))
    ]
    assert (found.exact, found.p) == (True, pytest.approx(np.mean(as_far)))


def test_kendall_tau_is_undefined_for_one_item_or_all_ties():
    for one, other in (([1], [2]), ([3, 3, 3], [1, 2, 3]), ([], [])):
        found = agreement(single(one), single(other))
        assert math.isnan(found.tau)
        assert math.isnan(found.p)


def test_kendall_tau_ties_means_that_differ_by_rounding():
    one = {"a": {0: 0.1 + 0.2}, "b": {0: 0.3}, "c": {0: 1.0}}
    assert agreement(one, one).tau == 1
    assert math.isnan(agreement({name: one[name] for name in "ab"}, single([1, 2])).tau)


def test_tau_interval_is_wide_when_seeds_swap_order_and_closed_for_clear_gaps():
    steady = {"a": dict.fromkeys(range(5), 10.0), "b": dict.fromkeys(range(5), 50.0)}
    shaky = {"a": {0: 10, 1: 60, 2: 10, 3: 60, 4: 10}, "b": {0: 40, 1: 30, 2: 40, 3: 30, 4: 41}}
    clear = agreement(steady, single([0, 1]) | {"a": {0: 1.0}, "b": {0: 2.0}})
    assert (clear.tau, clear.low, clear.high) == (1, 1, 1)
    found = agreement(shaky, {"a": {0: 1.0}, "b": {0: 2.0}})
    assert (found.tau, found.low, found.high) == (1, -1, 1)


def test_tau_interval_resamples_boards_jointly_when_seeds_are_shared():
    """A board agrees with itself whichever seeds are drawn; drawing them apart would find disagreement."""
    random = np.random.default_rng(0)
    noisy = {name: dict(enumerate(random.normal(50, 10, 6))) for name in "abcde"}
    found = agreement(noisy, noisy)
    assert (found.low, found.high) == (1, 1)
    elsewhere = {name: {seed + 100: value for seed, value in values.items()} for name, values in noisy.items()}
    assert agreement(noisy, elsewhere).low < 1


def test_tau_interval_requires_a_second_seed():
    mixed = {"a": {0: 10.0, 1: 12.0, 2: 11.0}, "b": {0: 50.0}}
    found = agreement(mixed, mixed)
    assert (found.low, found.high, found.seeds) == (1, 1, 1)
    # Where the second seed is drawn twice, "b" has none of its own and stays, below what "a" then is.
    swapped = {"a": {0: 0.0, 1: 80.0}, "b": {0: 50.0}}
    assert agreement(swapped, {"a": {0: 1.0}, "b": {0: 2.0}}).low == -1
    alone = agreement(single([1, 2, 3]), single([1, 2, 3]))
    assert (alone.tau, math.isnan(alone.low)) == (1, True)


def test_agreement_orders_only_entries_of_both_boards():
    one = {"a": {0: 1.0}, "b": {0: 2.0}, "c": {0: 0.0}}
    other = {"b": {0: 2.0}, "a": {0: 1.0}, "d": {0: 9.0}}
    assert (agreement(one, other).items, agreement(one, other).tau) == (2, 1)
