"""The perturbation generators of UC, several of them advanced as one network.

The released generator is the residual image-to-image network of CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593): a
7x7 convolution, two strided ones, residual blocks, two transposed ones, a 7x7 convolution and tanh. It is trained on a
batch of *one* fixed noise image, so its batch norm normalises every channel by that sample's own statistics. Here K
generators form one network of K groups: grouped convolutions keep their weights apart and instance norm keeps their
statistics apart, so that a :class:`GeneratorBank` of K equals K separate generators.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reflect(x: Tensor, pad: int) -> Tensor:
    """Mirror ``pad`` pixels beyond each side, the edge itself not repeated.

    Made of slices and concatenations, because the backward pass of torch's reflection padding is not deterministic
    on GPUs.
    """
    x = torch.cat([x[..., 1 : pad + 1].flip(-1), x, x[..., -pad - 1 : -1].flip(-1)], -1)
    return torch.cat([x[..., 1 : pad + 1, :].flip(-2), x, x[..., -pad - 1 : -1, :].flip(-2)], -2)


class _Block(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels * groups, channels * groups, 3, bias=False, groups=groups)
        self.norm1 = nn.InstanceNorm2d(channels * groups, affine=True)
        self.conv2 = nn.Conv2d(channels * groups, channels * groups, 3, bias=False, groups=groups)
        self.norm2 = nn.InstanceNorm2d(channels * groups, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(reflect(x, 1))))
        change: Tensor = self.norm2(self.conv2(reflect(y, 1)))
        return x + change


class GeneratorBank(nn.Module):
    """K independent generators, each with its own fixed input noise.

    Args:
        noise: float32 ``[K, 3, H, W]``, the fixed inputs (sigma of the paper), uniform in [0, 1].
        width: channels after the first layer.
        blocks: residual blocks.
    """

    noise: Tensor

    def __init__(self, noise: Tensor, width: int, blocks: int) -> None:
        super().__init__()
        groups, _, self.height, self.image_width = noise.shape
        # Two halvings want multiples of 4, and the 7x7 layers mirror 3 pixels: the noise is extended, the output cut.
        extended = [max(8, 4 * math.ceil(side / 4)) for side in (self.height, self.image_width)]
        padded = F.pad(noise, (0, extended[1] - self.image_width, 0, extended[0] - self.height), mode="replicate")
        self.register_buffer("noise", padded.reshape(1, groups * 3, *extended))
        self.groups = groups

        def norm(channels: int) -> nn.Module:
            return nn.InstanceNorm2d(channels * groups, affine=True)

        def conv(inside: int, outside: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
            padding = kernel // 2 if stride > 1 else 0  # at stride 1 the input is mirrored beyond its sides
            return nn.Conv2d(
                inside * groups, outside * groups, kernel, stride, padding=padding, bias=bias, groups=groups
            )

        def up(inside: int, outside: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(
                inside * groups, outside * groups, 3, 2, padding=1, output_padding=1, bias=False, groups=groups
            )

        self.first, self.first_norm = conv(3, width, 7), norm(width)
        self.down = nn.Sequential(
            conv(width, 2 * width, 3, stride=2), norm(2 * width), nn.ReLU(),
            conv(2 * width, 4 * width, 3, stride=2), norm(4 * width), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.Sequential(*(_Block(4 * width, groups) for _ in range(blocks)))
        self.up = nn.Sequential(
            up(4 * width, 2 * width), norm(2 * width), nn.ReLU(),
            up(2 * width, width), norm(width), nn.ReLU(),
        )  # fmt: skip
        self.last = conv(width, 3, 7, bias=True)

    def forward(self) -> Tensor:
        """The raw outputs ``[K, 3, H, W]``, before tanh."""
        x = F.relu(self.first_norm(self.first(reflect(self.noise, 3))))
        x = self.last(reflect(self.up(self.blocks(self.down(x))), 3))
        outputs: Tensor = x.view(self.groups, 3, *x.shape[2:])
        return outputs[..., : self.height, : self.image_width]
