"""Gaussian blur and Gaussian noise as augmentations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from ucbench import reflect_pad
from ucbench_augment.drawing import on_share, uniform

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import GaussianBlurParams, GaussianNoiseParams


class GaussianBlur:
    """Blur every image with a Gaussian whose standard deviation is drawn uniformly; reflection at the border.

    kornia computes the weights and the convolution, with a width per image.
    """

    def __init__(self, params: GaussianBlurParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], blurred."""
        return on_share(x, self.params.probability, generator, self._blur)

    def _blur(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return blurred(x, uniform(self.params.sigma, len(x), generator), self.params.kernel)


class GaussianNoise:
    """Add independent Gaussian noise to every value and clip to [0, 1]."""

    def __init__(self, params: GaussianNoiseParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], with noise."""
        noise = torch.randn(x.shape, generator=generator).to(x)
        return (x + self.params.sigma / 255 * noise).clamp(0, 1)


def blurred(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Images ``[B, 3, H, W]`` convolved with Gaussians of ``kernel`` taps per side and of ``sigma`` ``[B]`` pixels.

    Images are padded by reflection, the outermost pixels not repeated.
    """
    weights = get_gaussian_kernel1d(kernel, sigma[:, None]).to(x)
    # kornia pads by less than the side of the image only.
    padded = reflect_pad(x, kernel // 2, (2, 3))
    # Convolutions of single channels are computed in float32 on GPUs too, outside autocast.
    with torch.autocast(x.device.type, enabled=False):
        smooth = filter2d_separable(padded, weights, weights, padding="valid")
    # Weights sum to 1 only up to rounding, which must not lead out of the range.
    return smooth.clamp(0, 1)
