"""The residual image-to-image network with which several methods make perturbations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench.training.padding import reflect_pad


class _Block(nn.Module):
    def __init__(self, channels: int, groups: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, bias=False, groups=groups)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False, groups=groups)
        self.norm2 = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(reflect_pad(x, 1))))
        change: Tensor = self.norm2(self.conv2(reflect_pad(y, 1)))
        return x + change


class ResidualGenerator(nn.Module):
    """The generator of CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593), without its last tanh.

    A 7x7 convolution, strided ones that halve the sides, residual blocks, transposed convolutions, a 7x7 convolution.
    Sides that the halvings do not divide are extended by repeating the last pixel, and the output is cut.

    Args:
        width: channels after the first layer; every halving doubles them.
        blocks: residual blocks.
        halvings: how often the sides are halved.
        groups: independent generators side by side, each with its own three channels.
        norm: makes the normalisation of so many channels.
        condition: numbers that describe an image and enter before the blocks, at every place; 0 for none. Only with one
            group.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        *,
        halvings: int = 2,
        groups: int = 1,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self._multiple = 2**halvings
        widths = [width * groups * 2**level for level in range(halvings + 1)]

        def conv(inside: int, outside: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
            padding = kernel // 2 if stride > 1 else 0  # at stride 1 the input is mirrored beyond its sides
            return nn.Conv2d(inside, outside, kernel, stride, padding=padding, bias=bias, groups=groups)

        def up(inside: int, outside: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(inside, outside, 3, 2, padding=1, output_padding=1, bias=False, groups=groups)

        self.first, self.first_norm = conv(3 * groups, widths[0], 7), norm(widths[0])
        self.down = nn.Sequential()
        for inside, outside in itertools.pairwise(widths):
            self.down.extend([conv(inside, outside, 3, stride=2), norm(outside), nn.ReLU()])
        self.mix: nn.Module | None = None
        if condition:
            self.mix = nn.Sequential(
                nn.Conv2d(widths[-1] + condition, widths[-1], 3, padding=1), norm(widths[-1]), nn.ReLU()
            )
        self.blocks = nn.Sequential(*(_Block(widths[-1], groups, norm) for _ in range(blocks)))
        self.up = nn.Sequential()
        for inside, outside in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.extend([up(inside, outside), norm(outside), nn.ReLU()])
        self.last = conv(widths[0], 3 * groups, 7, bias=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Raw outputs of the shape of ``x`` ``[B, 3 * groups, H, W]``, given the images' numbers ``[B, D]``."""
        height, width = x.shape[2:]
        # The 7x7 layers mirror 3 pixels and the blocks 1, which needs sides of two pixels after the halvings.
        tall, wide = (max(2, math.ceil(side / self._multiple)) * self._multiple for side in (height, width))
        x = F.pad(x, (0, wide - width, 0, tall - height), mode="replicate")
        x = self.down(F.relu(self.first_norm(self.first(reflect_pad(x, 3)))))
        if self.mix is not None:
            assert condition is not None
            x = self.mix(torch.cat([x, condition[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1))
        outputs: Tensor = self.last(reflect_pad(self.up(self.blocks(x)), 3))
        return outputs[..., :height, :width]
