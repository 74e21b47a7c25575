"""Shears, shifts and turns: images ``[B, 3, H, W]``, one amount an image ``[B]``; what moves in is black.

Coordinates are in pixels. ``mode`` is ``nearest``, as Pillow's default, or ``bilinear``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shear_x(x: Tensor, slope: Tensor, *, mode: str) -> Tensor:
    """Row i, counted from the upper edge, shows what lay ``slope * i`` further right."""
    return _warped(x, mode, across=slope, right=slope * x.shape[2] / 2)


def shear_y(x: Tensor, slope: Tensor, *, mode: str) -> Tensor:
    """Column j, counted from the left edge, shows what lay ``slope * j`` further down."""
    return _warped(x, mode, along=slope, down=slope * x.shape[3] / 2)


def translate_x(x: Tensor, pixels: Tensor, *, mode: str) -> Tensor:
    """Shift to the right by whole ``pixels``; fractions are cut off."""
    return _warped(x, mode, right=-pixels.trunc())


def translate_y(x: Tensor, pixels: Tensor, *, mode: str) -> Tensor:
    """Shift down by whole ``pixels``; fractions are cut off."""
    return _warped(x, mode, down=-pixels.trunc())


def rotate(x: Tensor, degrees: Tensor, *, mode: str) -> Tensor:
    """Turn counter-clockwise about the middle."""
    angle = torch.deg2rad(degrees)
    return _warped(x, mode, scale=angle.cos(), across=-angle.sin(), along=angle.sin())


def _warped(
    x: Tensor,
    mode: str,
    *,
    scale: Tensor | float = 1.0,
    across: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    along: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
) -> Tensor:
    """Show at ``(u, v)``, counted rightwards and downwards from the middle, what lay at
    ``(scale * u + across * v + right, along * u + scale * v + down)``."""
    height, width = x.shape[2:]
    theta = torch.empty((len(x), 2, 3), device=x.device, dtype=x.dtype)
    # torch counts from -1 to 1 between opposite edges.
    theta[:, 0, 0] = scale
    theta[:, 0, 1] = across * (height / width)
    theta[:, 0, 2] = right * (2 / width)
    theta[:, 1, 0] = along * (width / height)
    theta[:, 1, 1] = scale
    theta[:, 1, 2] = down * (2 / height)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)
