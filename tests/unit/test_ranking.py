"""The worst case over defenses, effects and shared ranks, by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.leaderboard.ranking import WorstCase, effect, ranks, worst_case


def case(*accuracies: float) -> WorstCase:
    return WorstCase(dict(enumerate(accuracies)), ("none",))


def test_worst_case_selects_and_scores_on_different_seeds():
    accuracies = {
        "none": {0: 20.0, 1: 80.0, 2: 20.0, 3: 80.0},
        "jpeg": {0: 60.0, 1: 30.0, 2: 50.0, 3: 10.0},
    }
    found = worst_case(pd.DataFrame(accuracies), ["none", "jpeg"])
    # Seeds 0 and 2 choose jpeg, which the seeds 1 and 3 are scored by; these choose none for the former.
    assert found.by_seed == {0: 20.0, 1: 30.0, 2: 20.0, 3: 10.0}
    assert set(found.defenses) == {"none", "jpeg"}


@given(st.integers(2, 8), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_worst_case_is_unbiased_by_the_maximum(seeds, count, random):
    accuracies = {f"d{i}": {seed: random.uniform(0, 100) for seed in range(seeds)} for i in range(count)}
    names = list(accuracies)
    found = worst_case(pd.DataFrame(accuracies), names)
    naive = max(sum(values.values()) / seeds for values in accuracies.values())
    if count == 1:
        assert found.accuracy.mean == pytest.approx(naive)
    assert set(found.by_seed) == set(range(seeds))
    assert min(min(v.values()) for v in accuracies.values()) <= found.accuracy.mean
    assert all(found.by_seed[seed] in [accuracies[name][seed] for name in found.defenses] for seed in found.by_seed)


@pytest.mark.parametrize(
    "accuracies", [{"none": {0: 1.0}}, {"none": {0: 1.0, 1: 2.0}, "jpeg": {0: 1.0}}, {}, {"none": {0: 1.0}, "jpeg": {}}]
)
def test_worst_case_is_missing_while_a_defense_is_missing(accuracies):
    assert worst_case(pd.DataFrame(accuracies), ["none", "jpeg"]) is None


def test_worst_case_of_one_seed_selects_on_itself():
    assert worst_case(pd.DataFrame({"none": {3: 10.0}, "jpeg": {3: 40.0}}), ["none", "jpeg"]).by_seed == {3: 40.0}


def test_effect_is_the_removed_share_of_the_gap():
    found = effect(case(90, 95), case(50, 5), chance=10)
    assert found.mean == pytest.approx((40 / 80 + 85 / 85) / 2)  # below chance counts as chance
    assert effect(case(10), case(5), chance=10).n == 0
    assert effect(WorstCase({1: 90.0}, ()), case(50), chance=10).n == 0


def test_ranks_are_shared_when_the_paired_interval_covers_zero():
    clear = {"low": case(10, 11, 12), "near": case(12, 9, 15), "far": case(50, 52, 54), "beyond": case(51, 50, 56)}
    assert ranks(clear) == {"low": 1, "near": 1, "far": 3, "beyond": 3}


def test_ranks_use_paired_differences():
    # Seeds differ by far more than the poisoners, which differ by one point on every seed.
    assert ranks({"a": case(10, 40, 70), "b": case(11.0, 41.1, 70.9)}) == {"a": 1, "b": 2}


def test_ranks_are_all_shared_with_one_seed():
    assert ranks({"a": case(10), "b": case(90)}) == {"a": 1, "b": 1}
    assert math.isnan(case(10).accuracy.half)
