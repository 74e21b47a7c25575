"""Gaussian noise as an augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_augment.params import GaussianNoiseParams


class GaussianNoise:
    """Add independent Gaussian noise to every value and clip to [0, 1].

    Presets: `mi-ue`, a standard deviation of 8 levels (its code calls it a variance); `eclipse`, 0.05 of the range.
    """

    def __init__(self, params: GaussianNoiseParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], with noise."""
        noise = torch.randn(x.shape, generator=generator).to(x)
        return (x + self.params.sigma / 255 * noise).clamp(0, 1)
