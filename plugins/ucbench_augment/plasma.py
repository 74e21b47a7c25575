"""Plasma fractals, and changes of brightness and contrast that follow them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def brightness(x: Tensor, roughness: Tensor, intensity: Tensor, generator: torch.Generator) -> Tensor:
    """Add to every channel of every image a fractal that reaches from ``-intensity`` to ``intensity``.

    Args:
        x: images ``[B, 3, H, W]`` in [0, 1]; so is what comes back.
        roughness: ``[B]`` in [0, 1], see :func:`fractals`.
        intensity: ``[B]``.
    """
    maps = 2 * _channelwise(x, roughness, generator) - 1
    return (x + intensity.to(x)[:, None, None, None] * maps).clamp(0, 1)


def contrast(x: Tensor, roughness: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply the distance from 0.5 by a fractal that reaches from 0 to 4, one a channel of every image."""
    return ((x - 0.5) * (4 * _channelwise(x, roughness, generator)) + 0.5).clamp(0, 1)


def _channelwise(x: Tensor, roughness: Tensor, generator: torch.Generator) -> Tensor:
    maps = fractals(roughness.repeat_interleave(x.shape[1]), (x.shape[2], x.shape[3]), generator, x.device)
    return maps.view(x.shape)


def fractals(roughness: Tensor, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Maps ``[N, H, W]`` with values in [0, 1], by the diamond-square algorithm (Fournier et al. 1982).

    The corners of a square of ``2**n + 1`` pixels are uniform in [0, 1]. Every division sets a new point to
    ``(1 - s)`` times the mean of its neighbours plus ``s`` times a uniform number, where s is 0 at first and
    ``roughness**j`` at division j that follows. The upper left part of the square is the map.

    Args:
        roughness: ``[N]`` in [0, 1], on the CPU; 0 gives smooth maps.
    """
    divisions = max(1, (max(size) - 2).bit_length()) if max(size) > 1 else 0
    span = 2**divisions
    grid = torch.rand((len(roughness), span + 1, span + 1), generator=generator).to(device)
    rough = roughness.to(grid)[:, None, None]
    for division in range(divisions):
        _divide(grid, span >> division, rough**division if division else torch.zeros_like(rough))
    return grid[:, : size[0], : size[1]]


def _divide(grid: Tensor, step: int, random: Tensor) -> None:
    """Set the points half-way between those ``step`` apart, which hold uniform numbers as yet."""
    half = step // 2
    corners = grid[:, ::step, ::step]
    middles = grid[:, half::step, half::step]
    pairs = corners[:, :, :-1] + corners[:, :, 1:]
    middles.copy_(torch.lerp((pairs[:, :-1] + pairs[:, 1:]) / 4, middles, random))
    # Points on the border have three neighbours, the others four.
    neighbours = torch.full((corners.shape[1],), 4.0, device=grid.device)
    neighbours[0] = neighbours[-1] = 3.0
    upper = grid[:, ::step, half::step]
    around = pairs + F.pad(middles, (0, 0, 1, 0)) + F.pad(middles, (0, 0, 0, 1))
    upper.copy_(torch.lerp(around / neighbours[:, None], upper, random))
    left = grid[:, half::step, ::step]
    around = corners[:, :-1] + corners[:, 1:] + F.pad(middles, (1, 0)) + F.pad(middles, (0, 1))
    left.copy_(torch.lerp(around / neighbours, left, random))
