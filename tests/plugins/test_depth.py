"""Victims of few layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ucbench.metrics.layers import all_layers
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import VictimSpec
from ucbench.testing import sample_images


def network(reference: str, size: tuple[int, int] = (32, 32)) -> nn.Module:
    return installed().resolve(VictimSpec, reference).build().build(10, size)


@pytest.mark.parametrize(
    ("reference", "layers"), [("linear", 1), ("mlp", 2), ("mlp:layers=2", 2), ("mlp:layers=3", 3), ("lenet5", 5)]
)
def test_victims_have_as_many_layers_as_their_name_says(reference, layers):
    images = sample_images(5, (32, 32)).images
    found = all_layers(network(reference).eval(), images)
    assert len(found) == layers
    assert found[-1].shape == (5, 10)


def test_lenet5_has_the_weights_of_lecuns_for_32_pixels_and_three_colours():
    counts = [
        sum(weight.numel() for weight in layer.parameters()) for layer in network("lenet5") if list(layer.parameters())
    ]
    # Six filters of 5x5x3, sixteen of 5x5x6, each with a bias; then 400-120-84-10.
    assert counts == [456, 2416, 48120, 10164, 850]


@pytest.mark.parametrize("size", [(8, 8), (13, 14), (14, 14), (32, 32), (64, 48), (97, 64)])
def test_lenet5_takes_images_of_any_size(size):
    assert network("lenet5", size)(torch.rand(2, 3, *size)).shape == (2, 10)


def test_hidden_layers_are_not_linear_in_the_image():
    x = torch.rand(4, 3, 32, 32)
    for reference, linear in (("linear", True), ("mlp", False), ("lenet5", False)):
        model = network(reference).eval()
        with torch.no_grad():
            middle = model((x[:2] + x[2:]) / 2)
            assert torch.allclose(middle, (model(x[:2]) + model(x[2:])) / 2, atol=1e-5) is linear
