"""Random crop and flip of float images inside a graph: shifts by pixels or fractions of one, and mirroring.

Bilinear interpolation is separable, so a shift is one matrix product a side. ``torch.nn.functional.grid_sample`` and
indexing accumulate their gradients in no fixed order on GPUs; matrix products do not. Whole pixels come out exact.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(x: Tensor, offsets: Tensor, mirrored: Tensor, fill: Tensor | None = None) -> Tensor:
    """``out[b, :, i, j]`` is the bilinear value of ``x[b]`` at ``(i, j) + offsets[b]``, left to right where mirrored.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        offsets: ``[B, 2]`` in pixels, down and right; whole or fractional.
        mirrored: bool ``[B]``.
        fill: ``[3]``, the colour of every pixel outside; None is black.

    Returns:
        ``[B, 3, H, W]`` in the precision of ``x``, also under autocast; differentiable in ``x``.
    """
    offsets, mirrored = offsets.to(x), mirrored.to(x.device)
    colour = None if fill is None else fill.to(x)[:, None, None]
    with torch.autocast(x.device.type, enabled=False):
        rows = _weights(x.shape[2], offsets[:, 0], torch.zeros_like(mirrored))
        columns = _weights(x.shape[3], offsets[:, 1], mirrored)
        moved = torch.einsum("bhi,bciw->bchw", rows, x if colour is None else x - colour)
        moved = torch.einsum("bwj,bchj->bchw", columns, moved)
    return moved if colour is None else moved + colour


def _weights(side: int, offsets: Tensor, mirrored: Tensor) -> Tensor:
    """Interpolation matrices ``[B, side, side]``; a row sums to 1, or to less where it reaches outside."""
    pixels = torch.arange(side, device=offsets.device, dtype=offsets.dtype)
    places = torch.where(mirrored[:, None], side - 1 - pixels, pixels) + offsets[:, None]
    return (1 - (places[:, :, None] - pixels).abs()).clamp_min(0)
