"""Gaussian blur of random width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ucbench_augment.subset import on_share, uniform

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_augment.params import GaussianBlurParams


class GaussianBlur:
    """Blur every picture with a Gaussian whose standard deviation is drawn uniformly, mirrored at the border.

    Presets: `mi-ue` (the default), a kernel of 3 and 0.1 to 2 pixels; `uc` and `14a`, the fixed blurs of those
    repositories. APBench's blur has a kernel of 3 and 0.1 pixels, which leaves the picture as it is: it is not offered.
    """

    def __init__(self, params: GaussianBlurParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], blurred."""
        return on_share(x, self.params.probability, generator, self._blur)

    def _blur(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return blurred(x, uniform(self.params.sigma, len(x), generator), self.params.kernel)


def blurred(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Images ``[B, 3, H, W]`` convolved with Gaussians of ``kernel`` taps a side and of ``sigma`` ``[B]`` pixels.

    Pixels beyond the border are those mirrored at it, the outermost ones not repeated.
    """
    taps = torch.arange(kernel) - kernel // 2
    weights = torch.exp(-0.5 * (taps / sigma[:, None]).square())
    weights = (weights / weights.sum(1, keepdim=True)).to(x)
    # Weights sum to 1 but for their rounding, which must not lead out of the range.
    return _along(_along(x, weights, 2), weights, 3).clamp(0, 1)


def _along(x: Tensor, weights: Tensor, dimension: int) -> Tensor:
    """Sum of shifted pictures, each with its own weights ``[B, K]``.

    In float32 throughout, where a convolution may be computed in reduced precision; and with padding by index, whose
    gradient, unlike that of torch's reflection padding, has a fixed order on GPUs.
    """
    count, side = weights.shape[1], x.shape[dimension]
    padded = x.index_select(dimension, _mirrored(side, count // 2).to(x.device))
    total = torch.zeros_like(x)
    for tap in range(count):
        total.addcmul_(weights[:, tap, None, None, None], padded.narrow(dimension, tap, side))
    return total


def _mirrored(side: int, margin: int) -> Tensor:
    """Indices of a side with ``margin`` pixels mirrored at each end, however often that takes."""
    places = torch.arange(-margin, side + margin)
    if side == 1:
        return torch.zeros_like(places)
    return (side - 1) - (places % (2 * side - 2) - (side - 1)).abs()
