"""COIN, corruption by random interpolation (Li et al., AAAI 2025, arXiv 2311.18403)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_removal.params import InterpolationParams


class RandomInterpolation:
    """Read every pixel at a random place around its own, with bilinear interpolation.

    Made against perturbations by convolution, which act as one matrix on all images of a class: this multiplies each
    image by another sparse random matrix. Displacements are uniform in ``+-displacement`` pixels, drawn for
    every pixel and axis and shared by the channels, at every batch after crop and flip, as in the released code. Test
    images are not changed.

    Places beyond a border wrap around, and the first and the last line coincide in this: the period is the side less 1.
    """

    def __init__(self, params: InterpolationParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each displaced by its own draws."""
        count, _, height, width = x.shape
        shifts = torch.rand((count, 2, height, width), generator=generator)
        shifts = ((2 * shifts - 1) * self.params.displacement).to(x.device)
        rows = torch.arange(height, device=x.device)[:, None] + shifts[:, 0]
        columns = torch.arange(width, device=x.device) + shifts[:, 1]
        return sample(x, rows, columns)


def sample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values ``[B, C, H, W]`` of images of this shape at places ``rows``, ``columns`` ``[B, H, W]``, in pixels.

    Bilinear; places outside are moved inside by multiples of the side less 1.
    """
    (top, bottom, down), (left, right, across) = _neighbours(rows, x.shape[2]), _neighbours(columns, x.shape[3])
    flat = x.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row * x.shape[3] + column).flatten(1)[:, None].expand(-1, x.shape[1], -1)
        return flat.gather(2, index).view_as(x)

    upper = torch.lerp(at(top, left), at(top, right), across)
    lower = torch.lerp(at(bottom, left), at(bottom, right), across)
    return torch.lerp(upper, lower, down)


def _neighbours(places: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The line before and the line after each place, and the weight ``[B, 1, H, W]`` of the latter."""
    last = side - 1
    outside = (places < 0) | (places > last)
    places = torch.where(outside, torch.remainder(places, max(last, 1)), places).clamp(0, last)
    before = places.floor()
    return before.long(), (before.long() + 1).clamp(max=last), (places - before)[:, None]
