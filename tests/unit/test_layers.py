"""Features at a layer of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ucbench.errors import UsageError
from ucbench.metrics.layers import all_layers, layer_features

IMAGES = np.random.default_rng(0).integers(0, 256, (260, 3, 6, 5), dtype=np.uint8)


class Tokens(nn.Module):
    """A convolution to tokens, a linear layer on each, and a linear classifier: layers made in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.mix, self.embed = nn.Linear(7, 2), nn.Linear(4, 7), nn.Conv2d(3, 4, 2)

    def forward(self, x):
        return self.head(self.mix(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


def as_pixels() -> torch.Tensor:
    return torch.from_numpy(IMAGES).float() / 255


def test_all_layers_are_in_order_of_execution_and_averaged_over_positions():
    net = Tokens().eval()
    found = all_layers(net, IMAGES)
    with torch.no_grad():
        embedded = net.embed(as_pixels())
        mixed = net.mix(embedded.flatten(2).transpose(1, 2))
        expected = [embedded.mean((2, 3)), mixed.mean(1), net(as_pixels())]
    assert [layer.shape for layer in found] == [(260, 4), (260, 7), (260, 2)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_layer_features_names_agree_with_numbers():
    net = Tokens().eval()
    layers = all_layers(net, IMAGES)
    assert torch.equal(layer_features(net, IMAGES, "1"), layers[0])
    assert torch.equal(layer_features(net, IMAGES, "-1"), layer_features(net, IMAGES, "logits"))
    torch.testing.assert_close(layer_features(net, IMAGES, "penultimate"), layers[1], atol=1e-6, rtol=1e-5)
    assert torch.equal(layer_features(net, IMAGES, "input"), as_pixels().flatten(1))


@pytest.mark.parametrize("layer", ["0", "4", "-4", "last"])
def test_layer_features_refuse_a_layer_that_the_network_lacks(layer):
    with pytest.raises(UsageError, match="a number from 1 to 3"):
        layer_features(Tokens().eval(), IMAGES[:3], layer)


def test_layer_features_leave_no_hook_behind():
    net = Tokens().eval()
    all_layers(net, IMAGES[:3])
    layer_features(net, IMAGES[:3])
    assert not any(module._forward_hooks for module in net.modules())
