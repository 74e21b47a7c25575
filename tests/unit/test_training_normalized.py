"""Normalisation: the training pixels' own statistics, or fixed ones, inside the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ucbench.data.imageset import ImageSet
from ucbench.testing import sample_images
from ucbench.training.normalized import channel_statistics, normalized


@pytest.mark.parametrize("block", [1, 5, 4096])
def test_channel_statistics_equal_numpy_for_any_block_size(block):
    train = sample_images(23, (5, 9))
    mean, std = channel_statistics(train, block)
    pixels = train.images.astype(np.float64) / 255
    np.testing.assert_allclose(mean.numpy(), pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_channel_statistics_are_finite_for_a_constant_channel():
    flat = ImageSet(np.full((3, 3, 4, 4), 200, np.uint8), None)
    model = normalized(nn.Identity(), "data", flat)
    assert torch.isfinite(model(torch.zeros(1, 3, 4, 4))).all()


def test_normalized_training_pixels_have_mean_0_and_deviation_1():
    train = sample_images(23, (5, 9))
    out = normalized(nn.Identity(), "data", train)(torch.from_numpy(train.images.copy()).float() / 255)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("none", (0.25, 0.5, 0.75)),
        ("half", (-0.5, 0.0, 0.5)),
        ("imagenet", ((0.25 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.75 - 0.406) / 0.225)),
    ],
)
def test_normalized_fixed_schemes_have_published_statistics(scheme, expected):
    x = torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalized(nn.Identity(), scheme, sample_images())(x).flatten(), torch.tensor(expected))


def test_normalized_statistics_are_stored_and_not_trained():
    model = normalized(nn.Linear(1, 1), "data", sample_images())
    assert {"mean", "std"} <= set(model.state_dict())
    assert {name for name, _ in model.named_parameters()} == {"model.weight", "model.bias"}
