"""Removal while training: random interpolation, images left out of the loss, and the epoch that is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ucbench.plugins.registry import installed
from ucbench.testing import make_run
from ucbench_removal.coin import RandomInterpolation, sample
from ucbench_removal.params import (
    InterpolationParams,
    LossFilterParams,
)
from ucbench_removal.selection import LossFilter


class TestInterpolation:
    @given(st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 12), st.integers(0, 2**32))
    @settings(max_examples=30)
    def test_sample_equals_scipy_wrap(self, height, width, displacement, seed):
        """The released code is ``map_coordinates`` of order 1 in mode ``wrap``."""
        rng = np.random.default_rng(seed)
        x = rng.random((2, 3, height, width), np.float32)
        rows, columns = (rng.uniform(-displacement, displacement, (2, height, width)) for _ in range(2))
        rows = (rows + np.arange(height)[:, None]).astype(np.float32)
        columns = (columns + np.arange(width)).astype(np.float32)
        found = sample(torch.from_numpy(x), torch.from_numpy(rows), torch.from_numpy(columns))
        for i, c in np.ndindex(2, 3):
            expected = ndimage.map_coordinates(
                x[i, c].astype(np.float64), [rows[i], columns[i]], order=1, mode="wrap", prefilter=False
            )
            np.testing.assert_allclose(found[i, c], expected, atol=1e-5)

    def test_sample_at_pixels_returns_their_values(self):
        x = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
        rows = torch.arange(5.0)[:, None].expand(2, 5, 6)
        columns = torch.arange(6.0).expand(2, 5, 6)
        assert torch.equal(sample(x, rows, columns), x)

    def test_coin_draws_uniform_displacements_per_image(self):
        ramp = torch.linspace(0, 1, 101).expand(40, 3, 101, 101)
        run, generator = make_run(stage="train"), torch.Generator().manual_seed(0)
        found = RandomInterpolation(InterpolationParams(displacement=2.0)).augment(ramp, run, generator)
        shifts = 100 * (found - ramp)[:, 0, :, 2:-2]
        assert shifts.abs().max() == pytest.approx(2, abs=0.01)
        assert shifts.std() == pytest.approx(2 / 3**0.5, rel=0.02)
        assert (shifts[0] != shifts[1]).float().mean() > 0.99
        assert torch.equal(found[:, 0], found[:, 2])

    def test_coin_displaces_a_single_image_as_the_first_of_a_batch(self):
        x = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(1))
        defense, run = RandomInterpolation(InterpolationParams()), make_run(stage="train")
        alone = defense.augment(x, run, torch.Generator().manual_seed(3))
        together = defense.augment(x.expand(3, -1, -1, -1), run, torch.Generator().manual_seed(3))
        assert torch.equal(alone[0], together[0])
        assert not torch.equal(together[0], together[1])

    def test_coin_ignores_memory_layout(self):
        x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        defense, run = RandomInterpolation(InterpolationParams()), make_run(stage="train")
        plain, last = (
            defense.augment(images, run, torch.Generator().manual_seed(3))
            for images in (x, x.contiguous(memory_format=torch.channels_last))
        )
        assert torch.equal(plain, last)


def test_early_stopping_keeps_the_first_of_the_best_epochs():
    stop = installed().resolve("defense", "early-stopping").build()
    assert [stop.select(scores) for scores in ((3.0,), (3.0, 9.0), (3.0, 9.0, 9.0), (3.0, 9.0, 9.0, 9.5))] == [
        0,
        1,
        1,
        3,
    ]


class Scores(torch.nn.Module):
    """Two classes that differ in the mean of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([4.0, -4.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2, 3))[:, None] * self.weight


@pytest.mark.parametrize(("drop", "left_out"), [("lowest", [3, 4]), ("highest", [0, 1])])
def test_loss_filter_images_left_out_have_no_gradient(drop, left_out):
    x = torch.linspace(0, 1, 5)[:, None, None, None].expand(5, 3, 4, 4).clone().requires_grad_()
    targets = torch.tensor([[1.0, 0.0]] * 5)  # the brighter, the surer
    run = make_run()
    defense = LossFilter(LossFilterParams(share=0.5, drop=drop, warmup=1))
    model = Scores()
    for epoch, expected in ((1, []), (2, left_out)):
        run.epoch = epoch
        (gradient,) = torch.autograd.grad(defense.loss(model, x, targets, run, torch.Generator()), x)
        assert torch.nonzero((gradient == 0).flatten(1).all(1)).flatten().tolist() == expected
    kept = [row for row in range(5) if row not in left_out]
    own = torch.nn.functional.cross_entropy(model(x), targets, reduction="none")[kept].mean()
    assert torch.allclose(defense.loss(model, x, targets, run, torch.Generator()), own), "a mean over those kept"


def test_loss_filter_keeps_a_batch_of_one():
    run = make_run()
    run.epoch = 5
    loss = LossFilter(LossFilterParams(share=0.99)).loss(
        Scores(), torch.ones(1, 3, 4, 4), torch.tensor([[1.0, 0.0]]), run, torch.Generator()
    )
    assert torch.isfinite(loss)
