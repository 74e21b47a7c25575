"""Features taken along with predictions."""

from __future__ import annotations

import torch
from torch import nn

from ucbench.metrics.features import capture_features


class Net(nn.Module):
    """A linear layer inside, one at the end; both with four outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.gate = nn.Linear(4, 4)
        self.enter = nn.Linear(12, 4)
        self.widen = nn.Linear(4, 6)

    def penultimate(self, x):
        x = self.enter(x.flatten(1))
        return self.widen(x * self.gate(x).sigmoid()).relu()

    def forward(self, x):
        return self.head(self.penultimate(x))


def test_features_are_inputs_of_the_last_linear_layer_in_order():
    net, images = Net(), torch.rand(7, 3, 2, 2)
    with capture_features(net) as log, torch.no_grad():
        for block in images.split(3):
            net(block)
    assert torch.equal(log.features, torch.cat([net.penultimate(block) for block in images.split(3)]).detach())


def test_features_stop_and_hooks_are_removed_after_the_scope():
    net = Net()
    with capture_features(net) as log:
        net(torch.rand(2, 3, 2, 2))
    net(torch.rand(5, 3, 2, 2))
    assert len(log.features) == 2
    assert not any(module._forward_hooks for module in net.modules())


def test_features_are_missing_without_a_final_linear_layer():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 4, 1), nn.Flatten())
    with capture_features(net) as log:
        net(torch.rand(2, 3, 2, 2))
    assert log.features is None
