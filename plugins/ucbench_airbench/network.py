"""The network of airbench (K. Jordan, arXiv 2404.00498), written from the paper."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import UsageError, as_double
from ucbench_airbench.params import AirbenchParams

#: Factor on the scores, which with the batch norms' fixed weights sets how sharp predictions start.
_SCALE = 1 / 9
#: Pixels whose patches are in memory at once, at 192 bytes each: 2.2 GB. The engine's 5,000 images are summed in one
#: piece up to 48 pixels a side.
_BLOCK = 5_000 * 48 * 48
#: Directions of less variance than this share of the largest one hold rounding errors.
_NEGLIGIBLE = 1e-8
#: Shortest side that three halvings leave a pixel of.
_SHORTEST = 9


class Airbench:
    """The fast victim: frozen whitening, three groups of two convolutions, and a linear head without bias.

    A 2x2 convolution whitens patches of the published images: its filters are the eigenvectors of their second moments
    over the roots of the eigenvalues plus an epsilon, and the same with the opposite sign. So what it shows of an image
    depends on the perturbations too, as everything else that is learned from a release. Groups start as identities
    (Dirac filters), halve the image's side by max-pooling after their first convolution and normalise with a weight
    fixed at 1. Images without colour have four such eigenvectors instead of twelve, which are repeated: identities that
    pass on a direction in which nothing varies would have norms divide by rounding errors, and training collapse.

    The norms have torch's epsilon: the published 1e-12 makes losses infinite where a channel is constant in a small
    batch. For images of 9 pixels and more.
    """

    def __init__(self, params: AirbenchParams) -> None:
        self.recipe = params

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        check_size(size)
        return AirbenchNet(self.recipe.width, classes, self.recipe.whitening_eps)


def check_size(size: tuple[int, int]) -> None:
    """Raises UsageError for images that three halvings leave nothing of."""
    if min(size) < _SHORTEST:
        raise UsageError(f"airbench takes images of {_SHORTEST} pixels and more, not {size[0]}x{size[1]}.")


class AirbenchNet(nn.Module):
    """Normalised images ``[B, 3, H, W]`` to logits ``[B, classes]``."""

    def __init__(self, width: float, classes: int, whitening_eps: float = 5e-4) -> None:
        super().__init__()
        self.whitening_eps = whitening_eps
        channels = [24, *(max(8, round(base * width)) for base in (64, 256, 256))]
        self.whiten = nn.Conv2d(3, channels[0], 2)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]
        self.groups = nn.Sequential(*(_Group(*pair) for pair in pairwise(channels)))
        self.head = nn.Linear(channels[-1], classes, bias=False)

    @torch.no_grad()
    def initialize_from(self, x: Tensor) -> None:
        """Set the whitening filters from normalised images, float32 ``[N, 3, H, W]``."""
        height, width = x.shape[2:]
        blocks = x.split(max(1, _BLOCK // (height * width)))
        moments = reduce(torch.add, map(_second_moments, blocks)) / (len(x) * (height - 1) * (width - 1))
        values, vectors = torch.linalg.eigh(moments)
        filters = (vectors / (values + self.whitening_eps).sqrt()).T.reshape(12, 3, 2, 2)
        seen = filters[values > _NEGLIGIBLE * values[-1]]
        if len(seen):
            filters = torch.cat([seen] * 12)[:12]
        self.whiten.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.features(x))
        return scores * _SCALE

    def features(self, x: Tensor) -> Tensor:
        """What the head gets: ``[B, D]``."""
        features: Tensor = self.groups(F.gelu(self.whiten(x))).amax((2, 3))
        return features


def _second_moments(x: Tensor) -> Tensor:
    """The sum over all 2x2 patches of ``x`` of the products of their values, float64 ``[12, 12]``."""
    patches = as_double(F.unfold(x, 2).transpose(1, 2).reshape(-1, 12))
    return patches.T @ patches


class _Group(nn.Module):
    """Two convolutions: ``[B, inside, H, W]`` to ``[B, outside, H // 2, W // 2]``."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _identity(inside, outside), _identity(outside, outside)
        self.norm1, self.norm2 = _norm(outside), _norm(outside)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


def _identity(inside: int, outside: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters pass the channels on; the others are drawn as torch does."""
    conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[:inside])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
