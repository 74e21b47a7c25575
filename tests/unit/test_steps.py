"""Signed projected steps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ucbench.crafting.pgd import pgd, project


@given(st.integers(0, 10_000), st.floats(0.001, 0.3), st.floats(0.1, 3.0))
def test_within_projects_to_ball_and_pixel_range_idempotently(seed, radius, reach):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, 4, 5, generator=generator)
    x[0, 0] = 0.0
    x[1, 0] = 1.0
    delta = (torch.rand(x.shape, generator=generator) * 2 - 1) * reach * radius
    cut = project(delta, x, radius)
    assert cut.abs().max() <= radius + 1e-7
    assert (x + cut).min() >= 0
    assert (x + cut).max() <= 1
    assert torch.allclose(project(cut, x, radius), cut, atol=1e-7)


@pytest.mark.parametrize("sign", [1, -1])
def test_descend_equals_a_plain_signed_loop(sign):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 4, 4, generator=generator)
    weights = torch.randn(3 * 16, generator=generator)
    start = torch.zeros_like(x)

    def objective(images):
        return sign * (images.flatten(1) @ weights).square().sum()

    found = pgd(x, start, objective, steps=5, step=0.01, radius=0.03)
    delta = np.zeros(x.shape)
    for _ in range(5):
        flat = (x.numpy().astype(np.float64) + delta).reshape(3, -1)
        gradient = sign * 2 * (flat @ weights.numpy())[:, None] * weights.numpy()[None]
        delta = np.clip(delta - 0.01 * np.sign(gradient.reshape(delta.shape)), -0.03, 0.03)
        delta = np.clip(x.numpy() + delta, 0, 1) - x.numpy()
    np.testing.assert_allclose(found.numpy(), delta, atol=1e-6)
    before, after = objective(x), objective(x + found)
    assert after < before
    assert not start.any()


def test_descend_leaves_no_gradient_and_works_under_no_grad():
    weights = torch.randn(12, requires_grad=True)
    x = torch.rand(1, 3, 2, 2)
    with torch.no_grad():
        delta = pgd(x, torch.zeros_like(x), lambda p: (p.flatten(1) @ weights).sum(), steps=1, step=0.1, radius=0.1)
    assert weights.grad is None
    assert not delta.requires_grad
    assert delta.any()
