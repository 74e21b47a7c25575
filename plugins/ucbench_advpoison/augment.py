"""A random view of every picture: shifted by fractions of a pixel and mirrored, differentiably.

Bilinear interpolation is separable, so a view is one matrix product a side. ``torch.nn.functional.grid_sample``
accumulates its gradient in no fixed order on GPUs; matrix products do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Furthest shift as a share of a side: 4 pixels of 32.
REACH = 1 / 8


def random_view(x: Tensor, draws: Tensor, fill: Tensor, *, mirror: bool) -> Tensor:
    """One view of every image, from uniform numbers.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        draws: ``[B, 3]`` in [0, 1): the shift down, the shift right, and (from 0.5 on) whether the image is mirrored.
        fill: colour ``[3]`` that moves in.
        mirror: whether images may be mirrored at all.

    Returns:
        ``[B, 3, H, W]``: image b moved by ``(2 * draws[b, :2] - 1) * REACH`` of its sides, differentiable in ``x``.
    """
    sides = torch.tensor(x.shape[2:], device=x.device, dtype=x.dtype)
    offsets = (2 * draws[:, :2].to(x) - 1) * REACH * sides
    return shifted(x, offsets, (draws[:, 2] >= 0.5).to(x.device) & mirror, fill)


def shifted(x: Tensor, offsets: Tensor, mirrored: Tensor, fill: Tensor) -> Tensor:
    """``out[b, :, i, j]`` is the bilinear value of ``x[b]`` at ``(i, j) + offsets[b]``, left to right where mirrored.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        offsets: ``[B, 2]`` in pixels, down and right.
        mirrored: bool ``[B]``.
        fill: ``[3]``, the colour of every pixel outside.
    """
    colour = fill.to(x)[:, None, None]
    with torch.autocast(x.device.type, enabled=False):
        rows = _weights(x.shape[2], offsets[:, 0], torch.zeros_like(mirrored))
        columns = _weights(x.shape[3], offsets[:, 1], mirrored)
        moved = torch.einsum("bhi,bciw->bchw", rows, x - colour)
        return torch.einsum("bwj,bchj->bchw", columns, moved) + colour


def _weights(side: int, offsets: Tensor, mirrored: Tensor) -> Tensor:
    """Interpolation matrices ``[B, side, side]``; a row sums to 1, or to less where it reaches outside."""
    pixels = torch.arange(side, device=offsets.device, dtype=offsets.dtype)
    places = torch.where(mirrored[:, None], side - 1 - pixels, pixels) + offsets[:, None]
    return (1 - (places[:, :, None] - pixels).abs()).clamp_min(0)
