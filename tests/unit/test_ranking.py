"""The worst case over defenses, its selection bias, and effects, by hand and by simulation."""

from __future__ import annotations

import math

import boards
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.leaderboard.ranking import (
    WorstCase,
    clean_beside,
    effect,
    lacking,
    selection_bias,
    with_none,
    worst_case,
)
from ucbench.results.table import rows


def case(*accuracies: float) -> WorstCase:
    return WorstCase(dict(enumerate(accuracies)), "none")


@given(st.integers(1, 8), st.integers(1, 4), st.randoms(use_true_random=False))
def test_worst_case_is_the_highest_mean_and_never_below_any_defense(seeds, count, random):
    accuracies = {f"d{i}": {seed: random.uniform(0, 100) for seed in range(seeds)} for i in range(count)}
    found = worst_case(pd.DataFrame(accuracies), list(accuracies))
    means = {name: sum(values.values()) / seeds for name, values in accuracies.items()}
    assert found.accuracy.mean == pytest.approx(max(means.values()))
    assert found.by_seed == accuracies[found.defense]
    assert found.bias >= 0 if seeds > 1 else math.isnan(found.bias)


@pytest.mark.parametrize(
    "accuracies", [{"none": {0: 1.0}}, {"none": {0: 1.0, 1: 2.0}, "jpeg": {0: 1.0}}, {}, {"none": {0: 1.0}, "jpeg": {}}]
)
def test_worst_case_is_missing_while_a_defense_is_missing(accuracies):
    assert worst_case(pd.DataFrame(accuracies), ["none", "jpeg"]) is None


@pytest.mark.parametrize(
    ("accuracies", "missing"),
    [
        ({"none": {0: 1.0, 1: 2.0}, "jpeg": {0: 1.0, 1: 2.0}}, ()),
        ({"none": {0: 1.0, 1: 2.0}, "jpeg": {0: 1.0}}, ("jpeg",)),
        ({"none": {0: 1.0}, "jpeg": {1: 2.0}}, ("none", "jpeg")),
        ({"none": {0: 1.0}, "zoom": {0: 1.0, 1: 2.0}}, ("jpeg",)),
        ({"zoom": {0: 1.0}}, ("none", "jpeg")),
    ],
    ids=["none", "a craft", "a craft each", "a defense", "all"],
)
def test_defenses_that_lack_a_craft_of_another_are_named(accuracies, missing):
    assert lacking(pd.DataFrame(accuracies), ["none", "jpeg"]) == missing


def test_equal_defenses_give_the_first_as_worst_case():
    assert worst_case(pd.DataFrame({"jpeg": [40.0, 42.0], "none": [42.0, 40.0]}), ["none", "jpeg"]).defense == "none"


def test_selection_bias_is_the_maximum_minus_a_split_score():
    """Crafts select in consecutive halves: 0 and 1 select b and score 10 on 2 and 3, and so on around."""
    a, b = [50, 10, 50, 10], [20, 60, 20, 60]
    scores = [40, 40, 40, 40]  # every half of two neighbours has means a 30, b 40; b is scored 40 on the rest
    assert selection_bias(np.array([a, b], float).T) == 40 - np.mean(scores)
    # Of the three turns, crafts 0 and 1 choose a (score 0), 1 and 2 choose b (30), 2 and 0 choose b (0).
    assert selection_bias(np.array([[90, 30], [0, 0], [0, 60.0]])) == pytest.approx(30 - (0 + 30 + 0) / 3)


@pytest.mark.parametrize("crafts", [4, 6])
def test_selection_bias_explains_the_rise_of_the_maximum_in_a_simulation(crafts):
    """Fifteen equally good defenses: the highest mean is too high by what is estimated, on average."""
    boards_ = np.random.default_rng(0).normal(60, 4, (1500, crafts, 15))
    rise = boards_.mean(1).max(1).mean() - 60
    estimated = np.mean([selection_bias(board) for board in boards_])
    assert rise > 2
    assert estimated == pytest.approx(rise, abs=0.25)


def test_selection_bias_is_nothing_where_one_defense_is_far_ahead():
    board = np.random.default_rng(0).normal([60, 60, 90], 3, (6, 3))
    assert selection_bias(board) == pytest.approx(0, abs=1e-9)
    assert selection_bias(board[:, :1]) == 0


def test_undefended_exploiter_is_always_among_the_ranked():
    assert with_none(["jpeg"], pd.Series(["none", "jpeg"])) == ("none", "jpeg")
    assert with_none(["jpeg", "none"], pd.Series(["none"])) == ("jpeg", "none")
    assert with_none(["jpeg"], pd.Series(["jpeg"])) == ("jpeg",)


def test_defense_that_is_ranked_twice_counts_once():
    assert with_none(["none", "jpeg", "none"], pd.Series(["none"])) == ("none", "jpeg")


def test_effect_is_the_removed_share_of_the_gap():
    found = effect({0: 90, 1: 95}, case(50, 5), chance=10)
    assert found.mean == pytest.approx((40 / 80 + 85 / 85) / 2)  # below chance counts as chance
    assert effect({0: 10}, case(5), chance=10).n == 0
    assert effect({1: 90.0}, case(50), chance=10).n == 0


def test_clean_beside_a_craft_is_of_the_train_seeds_of_its_trainings():
    """Crafts 0 and 1 have the train seeds 0, 1 and 2, 3."""
    cells = rows(
        boards.record("uc", 0, 50, craft_seed=craft, train_seed=train)
        for craft, train in ((0, 0), (0, 1), (1, 2), (1, 3), (2, 9))
    )
    clean = WorstCase({0: 90.0, 1: 92.0, 2: 80.0, 3: 84.0}, "none")
    assert clean_beside(cells, clean) == {0: 91, 1: 82}
