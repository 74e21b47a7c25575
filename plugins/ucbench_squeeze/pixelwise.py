"""Grayscale and bit depth reduction, which change every pixel by itself (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

import torch
from torch import Tensor

from ucbench_squeeze.params import BitDepthParams, GrayscaleParams
from ucbench_squeeze.squeezing import Squeezing


class Grayscale(Squeezing[GrayscaleParams]):
    """Give all three channels the luma ``0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601), to the nearest integer.

    Computed in integers, with the weights in 65,536ths: the pixels equal Pillow's for mode ``L``, hence torchvision's,
    which ISS and APBench use. ``rgb_to_grayscale`` of kornia has OpenCV's weights, in 32,768ths, and so differs by a
    level in one pixel of a thousand. At random, an image keeps its colours or loses them all.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        red, green, blue = pixels.int().unbind(1)
        grey = ((19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16).to(torch.uint8)
        return grey[:, None].repeat(1, 3, 1, 1)

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Each image with ``params.probability``."""
        is_squeezed = torch.rand(len(pixels), generator=generator) < self.params.probability
        return torch.where(is_squeezed.to(pixels.device)[:, None, None, None], self.squeeze(pixels), pixels)


class BitDepthReduction(Squeezing[BitDepthParams]):
    """Reduce every value to one of 2^b levels (Xu et al., NDSS 2018, arXiv 1704.01155).

    With ``rounding=floor`` the low bits are cleared, ``v - v mod 2^(8 - b)``: levels 0, 64, 128 and 192 for b = 2. This
    is posterising in Pillow and torchvision, which ISS and APBench use. It darkens, by 31.5 on average for b = 2, so
    that training images differ from unchanged test images. With ``rounding=nearest`` a value becomes the nearest of the
    levels ``255 i / (2^b - 1)``, as in feature squeezing: 0, 85, 170 and 255 for b = 2; fractional levels are rounded
    to the nearest integer. ``posterize`` of kornia equals ``floor``, by way of floats, and takes 20 times as long.

    At random, b is drawn for every image, uniform among the integers of the range.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        return self._reduce(pixels, torch.tensor(self.params.bits))

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        assert self.params.max_bits is not None
        bits = torch.randint(self.params.bits, self.params.max_bits + 1, (len(pixels), 1, 1, 1), generator=generator)
        return self._reduce(pixels, bits)

    def _reduce(self, pixels: Tensor, bits: Tensor) -> Tensor:
        """``bits`` is int64 ``[]`` or ``[B, 1, 1, 1]``, on the CPU."""
        if self.params.rounding == "floor":
            return pixels & (256 - (1 << (8 - bits))).to(pixels.device, torch.uint8)
        top = ((1 << bits) - 1).to(pixels.device, torch.int32)
        return _rounded_ratio(_rounded_ratio(pixels.int() * top, 255) * 255, top).to(torch.uint8)


def _rounded_ratio(number: Tensor, divisor: Tensor | int) -> Tensor:
    """``number / divisor``, both integers of at least 0, to the nearest integer; an odd divisor leaves no ties."""
    return torch.div(2 * number + divisor, 2 * divisor, rounding_mode="floor")
