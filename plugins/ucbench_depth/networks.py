"""Networks of few layers."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from ucbench_depth.params import LeNet5Params, LinearParams, MLPParams

#: Shortest side for which LeNet-5 needs no padding.
_UNPADDED = 14


class Linear:
    """One linear layer on all pixels of an image."""

    def __init__(self, params: LinearParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * math.prod(size), classes))


class MLP:
    """``layers`` linear layers on all pixels, with ReLU between them; hidden layers have ``width`` units."""

    def __init__(self, params: MLPParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        sizes = [3 * math.prod(size), *(self.recipe.layers - 1) * [self.recipe.width]]
        hidden = [layer for inside, outside in pairwise(sizes) for layer in (nn.Linear(inside, outside), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))


class LeNet5:
    """Two 5x5 convolutions of 6 and 16 channels, each with max-pooling, and layers of 120 and 84 units.

    In the common modern form: ReLU instead of tanh, max-pooling instead of subsampling, and every channel of the second
    convolution sees all of the first. It is LeNet-5 on images of 32 pixels; for other sizes the last maps are averaged
    to 5x5. Below 14 pixels the convolutions are padded.
    """

    def __init__(self, params: LeNet5Params) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        padding = 0 if min(size) >= _UNPADDED else 2
        return nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.AdaptiveAvgPool2d(5),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )
