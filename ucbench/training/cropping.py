"""Differentiable shifts, by whole or fractional pixels, enlarging and mirroring of images.

Bilinear interpolation is separable, so a view is one matrix product per side. Unlike the gradients of
``torch.nn.functional.grid_sample`` and of indexing, those of matrix products are deterministic on GPUs. Shifts by whole
pixels are exact.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: Furthest shift of :class:`CropFlip`, as a share of a side: that of a recipe by default.
REACH = 1 / 8


def shifted(
    x: Tensor,
    offsets: Tensor,
    mirrored: Tensor,
    fill: Tensor | None = None,
    *,
    scale: float | Tensor = 1.0,
    border: Literal["fill", "reflect", "repeat"] = "fill",
) -> Tensor:
    """``out[b, :, i, j]`` is the bilinear value of ``x[b]`` at ``scale * (i, j) + offsets[b]``, mirrored where asked.

    Positions are those of pixels' middles: with a scale of 1/2 and offsets of 0, the output is the upper left quarter
    of the image at twice its size, as ``interpolate(align_corners=False)`` enlarges it.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        offsets: ``[B, 2]`` in pixels of ``x``, down and right; whole or fractional.
        mirrored: bool ``[B]``.
        fill: ``[3]``, the colour of pixels outside the image; None is black.
        scale: below 1 enlarges; a number, or ``[B, 2]`` for the two sides of each image.
        border: what is outside the image: ``fill``, its reflection without a repetition of the border's own pixels, or
            the nearest of its pixels.

    Returns:
        ``[B, 3, H, W]`` in the precision of ``x``, also under autocast; differentiable in ``x``.
    """
    offsets, mirrored = offsets.to(x), mirrored.to(x.device)
    down, right = scale.to(x)[:, :, None].unbind(1) if isinstance(scale, Tensor) else (scale, scale)
    colour = None if fill is None else fill.to(x)[:, None, None]
    with torch.autocast(x.device.type, enabled=False):
        rows = _weights(x.shape[2], offsets[:, 0], torch.zeros_like(mirrored), down, border)
        columns = _weights(x.shape[3], offsets[:, 1], mirrored, right, border)
        out = torch.einsum("bhi,bciw->bchw", rows, x if colour is None else x - colour)
        out = torch.einsum("bwj,bchj->bchw", columns, out)
    return out if colour is None else out + colour


def _weights(side: int, offsets: Tensor, mirrored: Tensor, scale: float | Tensor, border: str) -> Tensor:
    """Interpolation matrices ``[B, side, side]``; rows sum to 1, or to less for positions outside the image."""
    pixels = torch.arange(side, device=offsets.device, dtype=offsets.dtype)
    positions = torch.where(mirrored[:, None], side - 1 - pixels, pixels)
    if isinstance(scale, Tensor) or scale != 1:
        positions = (positions + 0.5) * scale - 0.5
    positions = positions + offsets[:, None]
    if border == "reflect":
        positions = side - 1 - (side - 1 - positions.abs()).abs()
    elif border == "repeat":
        positions = positions.clamp(0, side - 1)
    return (1 - (positions[:, :, None] - pixels).abs()).clamp_min(0)


class CropFlip:
    """Random crops and flips of images, as a recipe's but differentiable; black moves in.

    Args:
        size: height and width of the images.
        flip: mirror half of them.
        whole: shift by whole pixels, up to :data:`REACH` of the shorter side; else by any distance up to that of each
            side, bilinearly.
    """

    def __init__(self, size: tuple[int, int], *, flip: bool, whole: bool = True) -> None:
        self.size, self.flip, self.whole = size, flip, whole

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Views ``[B, 3, H, W]`` of images of that shape; ``generator`` is on the CPU."""
        draws = torch.rand((len(x), 3), generator=generator)
        if self.whole:
            margin = round(REACH * min(self.size))
            offsets = (draws[:, :2] * (2 * margin + 1)).floor() - margin
        else:
            offsets = (2 * draws[:, :2] - 1) * REACH * torch.tensor(self.size)
        return shifted(x, offsets, (draws[:, 2] < 0.5) & self.flip)
