"""Grayscale (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

import torch
from torch import Tensor

from ucbench_squeeze.params import GrayscaleParams
from ucbench_squeeze.squeezing import Squeezing


class Grayscale(Squeezing[GrayscaleParams]):
    """Give all three channels the luma ``0.299 R + 0.587 G + 0.114 B`` (ITU-R BT.601), to the nearest integer.

    In integers, with the weights in 65,536ths: the pixels are Pillow's for mode ``L``, hence torchvision's, with which
    ISS and APBench make theirs. At random, a picture keeps its colours or loses them all.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        red, green, blue = pixels.int().unbind(1)
        grey = ((19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16).to(torch.uint8)
        return grey[:, None].repeat(1, 3, 1, 1)

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Each picture with ``params.probability``."""
        chosen = torch.rand(len(pixels), generator=generator) < self.params.probability
        return torch.where(chosen.to(pixels.device)[:, None, None, None], self.squeeze(pixels), pixels)
