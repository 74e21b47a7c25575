"""Unlearnable Clusters: perturbations of two scales."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucbench.data.budget import Budget
from ucbench.testing import make_run
from ucbench_uc.params import UCParams
from ucbench_uc.perturbations import Perturbations, squash

EPSILON = 16 / 255
COUNT = 2


def perturbations(size: tuple[int, int], **options: object) -> Perturbations:
    return Perturbations(UCParams(**options), COUNT, size, make_run(budget=Budget("linf", 16)), "test")


def moved(made: Perturbations, weights: Tensor, steps: int = 1) -> Tensor:
    """The perturbations after ``steps`` steps that lower ``(weights * delta).sum()``."""
    for step in range(steps):
        made.step((weights * made()).sum(), step / steps)
    return made().detach()


@pytest.mark.parametrize(("coarseness", "coarser"), [(1, 4), (2, 3)])
def test_larger_blocks_move_as_wholes_beside_the_small_ones(coarseness, coarser):
    size = (14, 17)
    weights = torch.randn(COUNT, 3, *size, generator=torch.Generator().manual_seed(0))
    alone, both = (
        perturbations(size, coarseness=coarseness, coarser=scale, direct_lr=0.01) for scale in (None, coarser)
    )
    assert torch.equal(alone(), both()), "larger blocks start at zero"
    first, second = moved(alone, weights), moved(both, weights)
    free = (first.abs() < EPSILON) & (second.abs() < EPSILON)
    extra = torch.where(free, second - first, torch.nan)
    side = coarseness * coarser
    for row in range(0, size[0], side):
        for column in range(0, size[1], side):
            window = (..., slice(row, row + side), slice(column, column + side))
            step = 0.01 * EPSILON * -weights[window].sum((2, 3), keepdim=True).sign()
            expected = step.expand_as(extra[window])[free[window]]
            torch.testing.assert_close(extra[window][free[window]], expected, rtol=1e-3, atol=1e-6)
    assert free.float().mean() > 0.9


@given(st.integers(3, 20), st.integers(3, 20), st.sampled_from([None, 2, 5, 40]), st.integers(1, 3), st.floats(0.01, 3))
@settings(max_examples=30)
def test_perturbations_stay_within_the_budget_after_any_steps(height, width, coarser, coarseness, rate):
    made = perturbations((height, width), coarser=coarser, coarseness=coarseness, direct_lr=rate)
    weights = torch.randn(COUNT, 3, height, width, generator=torch.Generator().manual_seed(height))
    delta = moved(made, weights, steps=6)
    assert delta.shape == (COUNT, 3, height, width)
    assert delta.abs().max() <= EPSILON + 1e-7


@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("tanh", [-0.5, -0.1, 0.15, 0.5], [0.5] * 4),
        ("clamp", [-0.5, -0.2, 0.3, 0.5], [0.0, 1.0, 1.0, 0.0]),
        ("straight-through", [-0.5, -0.2, 0.3, 0.5], [1.0] * 4),
    ],
)
def test_squash_bounds_its_input_and_passes_the_gradient_that_its_name_says(name, values, slopes):
    output = torch.tensor([-1.0, -0.2, 0.3, 1.0], requires_grad=True)
    squashed = squash(name, output, 0.5)
    torch.testing.assert_close(squashed.detach(), torch.tensor(values))
    assert torch.autograd.grad(squashed.sum(), output)[0].tolist() == slopes


def test_step_falls_by_half_a_cosine_to_the_same_share_of_the_rate_as_a_generators():
    """Adam moves a value whose gradient never changes by the learning rate."""
    made = perturbations((6, 6), coarseness=1, direct_lr=0.01, lr=0.1, final_lr=0.02)
    before = made().detach()
    after = moved(made, torch.ones(COUNT, 3, 6, 6), steps=4)
    rates = [0.01 * EPSILON * (0.2 + 0.8 * (1 + math.cos(math.pi * step / 4)) / 2) for step in range(4)]
    free = after > -EPSILON
    assert free.float().mean() > 0.9
    torch.testing.assert_close((before - after)[free], torch.full_like(after[free], sum(rates)), rtol=1e-3, atol=0)
