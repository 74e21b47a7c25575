"""Differentiable shifts, by whole or fractional pixels, enlarging and mirroring of images.

Bilinear interpolation is separable, so a view is one matrix product per side. Unlike the gradients of
``torch.nn.functional.grid_sample`` and of indexing, those of matrix products are deterministic on GPUs. Shifts by whole
pixels are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(
    x: Tensor,
    offsets: Tensor,
    mirrored: Tensor,
    fill: Tensor | None = None,
    *,
    scale: float | Tensor = 1.0,
    reflect: bool = False,
) -> Tensor:
    """``out[b, :, i, j]`` is the bilinear value of ``x[b]`` at ``scale * (i, j) + offsets[b]``, mirrored where asked.

    Positions are those of pixels' middles: with a scale of 1/2 and offsets of 0, the output is the upper left quarter
    of the image at twice its size, as ``interpolate(align_corners=False)`` enlarges it.

    Args:
        x: images ``[B, 3, H, W]``, float32 or float64.
        offsets: ``[B, 2]`` in pixels of ``x``, down and right; whole or fractional.
        mirrored: bool ``[B]``.
        fill: ``[3]``, the colour of pixels outside the image; None is black.
        scale: below 1 enlarges; one for all, or ``[B, 2]``, down and right.
        reflect: outside the image is its reflection, the border's own pixels not repeated, instead of ``fill``.

    Returns:
        ``[B, 3, H, W]`` in the precision of ``x``, also under autocast; differentiable in ``x``.
    """
    offsets, mirrored = offsets.to(x), mirrored.to(x.device)
    down, right = scale.to(x)[:, :, None].unbind(1) if isinstance(scale, Tensor) else (scale, scale)
    colour = None if fill is None else fill.to(x)[:, None, None]
    with torch.autocast(x.device.type, enabled=False):
        rows = _weights(x.shape[2], offsets[:, 0], torch.zeros_like(mirrored), down, reflect)
        columns = _weights(x.shape[3], offsets[:, 1], mirrored, right, reflect)
        out = torch.einsum("bhi,bciw->bchw", rows, x if colour is None else x - colour)
        out = torch.einsum("bwj,bchj->bchw", columns, out)
    return out if colour is None else out + colour


def _weights(side: int, offsets: Tensor, mirrored: Tensor, scale: float | Tensor, reflect: bool) -> Tensor:
    """Interpolation matrices ``[B, side, side]``; rows sum to 1, or to less for positions outside the image."""
    pixels = torch.arange(side, device=offsets.device, dtype=offsets.dtype)
    positions = torch.where(mirrored[:, None], side - 1 - pixels, pixels)
    if isinstance(scale, Tensor) or scale != 1:
        positions = (positions + 0.5) * scale - 0.5
    positions = positions + offsets[:, None]
    if reflect:
        positions = positions.abs()
        positions = side - 1 - (side - 1 - positions).abs()
    return (1 - (positions[:, :, None] - pixels).abs()).clamp_min(0)
