"""The generator of GUE: a U-Net (Ronneberger et al., MICCAI 2015, arXiv 1505.04597) on four levels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Sides are halved three times.
MULTIPLE = 8


def _double(inside: int, outside: int, momentum: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers += [nn.Conv2d(channels, outside, 3, padding=1), nn.BatchNorm2d(outside, momentum=momentum), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images to values of their shape in [-1, 1].

    Halving is by average pooling, doubling bilinear. Sides that are no multiple of 8 are extended by repeating the last
    pixel, and the output is cut.

    Args:
        width: channels of the first level; every further one has twice as many.
        momentum: of the running statistics of batch norm.
    """

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.down = nn.ModuleList(
            _double(inside, outside, momentum) for inside, outside in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            _double(beside + below, beside, momentum)
            for beside, below in zip(widths[2::-1], widths[:0:-1], strict=True)
        )
        self.last = nn.Sequential(nn.Conv2d(width, 3, 1), nn.BatchNorm2d(3, momentum=momentum))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` to values ``[B, 3, H, W]`` in [-1, 1]."""
        height, width = x.shape[2:]
        tall, wide = (math.ceil(side / MULTIPLE) * MULTIPLE for side in (height, width))
        x = F.pad(x, (0, wide - width, 0, tall - height), mode="replicate")
        levels: list[Tensor] = []
        for layers in self.down:
            x = layers(F.avg_pool2d(x, 2) if levels else x)
            levels.append(x)
        for layers, beside in zip(self.up, levels[-2::-1], strict=True):
            x = layers(torch.cat([doubled(x), beside], 1))
        values: Tensor = torch.tanh(self.last(x))
        return values[..., :height, :width]


def doubled(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` to ``[B, C, 2H, 2W]``: bilinear, the corners' middles in place (``align_corners=True``).

    By products of matrices, whose gradients are deterministic on GPUs, unlike those of ``interpolate``.
    """
    rows, columns = (_interpolation(side, x) for side in x.shape[2:])
    return torch.einsum("ih,bchw,jw->bcij", rows, x, columns)


def _interpolation(side: int, like: Tensor) -> Tensor:
    places = torch.linspace(0, side - 1, 2 * side, device=like.device, dtype=torch.float32)
    pixels = torch.arange(side, device=like.device)
    return (1 - (places[:, None] - pixels).abs()).clamp_min(0).to(like.dtype)
