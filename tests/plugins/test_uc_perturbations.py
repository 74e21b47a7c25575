"""Unlearnable Clusters: perturbations of two scales."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucbench.data.budget import Budget
from ucbench.testing import make_run
from ucbench_uc.params import UCParams
from ucbench_uc.perturbations import Perturbations

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
