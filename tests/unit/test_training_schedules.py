"""Learning rates by step: values by hand, and the same bits as the formulas that methods publish."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.training.recipe import Recipe, cosine, learning_rate

RATES = st.floats(1e-8, 10)


@given(RATES, RATES, st.integers(0, 500), st.integers(1, 500))
def test_cosine_has_the_bits_of_each_published_form(start, end, step, steps):
    turn = math.cos(math.pi * step / steps)
    assert cosine(start, end, step, steps) == end + (start - end) * (0.5 * (1 + turn))
    assert cosine(start, 0.0, step, steps) == start * 0.5 * (1 + turn)
    assert cosine(1.0, 0.0, step, steps) == 0.5 + 0.5 * turn
    assert cosine(start, end, step / steps) == end + 0.5 * (start - end) * (1 + math.cos(math.pi * (step / steps)))


def test_cosine_runs_from_start_to_end():
    assert [cosine(0.4, 0.1, step, 4) for step in (0, 2, 4)] == pytest.approx([0.4, 0.25, 0.1])


class TestLearningRate:
    """Values by hand: 4 epochs of 5 steps."""

    def test_learning_rate_cosine_falls_to_final_rate(self):
        recipe = Recipe(epochs=4, lr=0.1, final_lr=0.02)
        assert learning_rate(recipe, 0, 5) == 0.1
        assert learning_rate(recipe, 5, 5) == pytest.approx(0.02 + 0.04 * (1 + math.sqrt(0.5)))
        assert learning_rate(recipe, 10, 5) == pytest.approx(0.06)
        assert learning_rate(recipe, 19, 5) == pytest.approx(0.02 + 0.04 * (1 + math.cos(math.pi * 0.95)))
        rates = [learning_rate(recipe, step, 5) for step in range(20)]
        assert rates == sorted(rates, reverse=True)

    def test_learning_rate_step_changes_after_the_milestones_last_step(self):
        recipe = Recipe(epochs=4, lr=1.0, schedule="step", milestones=(1, 3), gamma=0.5)
        assert [learning_rate(recipe, step, 5) for step in (0, 4, 5, 14, 15, 19)] == [1, 1, 0.5, 0.5, 0.25, 0.25]

    def test_learning_rate_constant_never_changes(self):
        assert {learning_rate(Recipe(epochs=4, lr=0.3, schedule="constant"), step, 5) for step in range(20)} == {0.3}

    def test_learning_rate_warm_up_rises_linearly_and_the_cosine_follows(self):
        recipe = Recipe(epochs=4, lr=1.0, warmup=0.2)
        assert [learning_rate(recipe, step, 5) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
        assert learning_rate(recipe, 12, 5) == pytest.approx(0.5)  # half of the 16 steps that are left

    def test_learning_rate_linear_is_a_triangle_from_initial_to_final_rate(self):
        recipe = Recipe(epochs=4, lr=1.0, warmup=0.2, initial_lr=0.2, final_lr=0.1, schedule="linear")
        rates = [learning_rate(recipe, step, 5) for step in range(20)]
        assert rates[:4] == pytest.approx([0.4, 0.6, 0.8, 1.0])
        assert rates[12] == pytest.approx(0.55)
        assert rates[19] == pytest.approx(0.1 + 0.9 / 16)
