"""How the images are cropped and flipped while crafting, differentiably."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ucbench import shifted

Crop = Literal["resize", "reflect", "zeros"]
Augment = Literal["none", "images", "perturbed"]


@dataclass(frozen=True)
class Views:
    """Random views of images, with or without their perturbation.

    Attributes:
        augment: whether to crop and flip nothing, the images before adding, or the perturbed images.
        crop: ``resize`` enlarges the image by 8/7, bilinearly, and cuts out a window of its size, as torchvision's
            Resize(256) and RandomCrop(224); it differs from that in the outermost pixels, which are mixed with their
            neighbours (a sixteenth). ``reflect`` shifts it by up to an eighth of its shorter side, and its reflection
            moves in; ``zeros`` shifts it by up to a seventh, and black moves in. All by whole pixels of the output.
        flip: whether to mirror half of the images.
    """

    augment: Augment
    crop: Crop
    flip: bool

    def perturbed(self, x: Tensor, delta: Tensor | float, generator: torch.Generator) -> Tensor:
        """Views ``[B, 3, H, W]`` in [0, 1] of images ``x`` of that shape and range, with ``delta`` added to them."""
        if self.augment == "images":
            return (self.drawn(x, generator) + delta).clamp(0, 1)
        return self.drawn((x + delta).clamp(0, 1), generator)

    def drawn(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``x`` ``[B, 3, H, W]`` cropped and flipped, each image on its own; as it is with ``augment=none``."""
        if self.augment == "none":
            return x
        side, scale = min(x.shape[2:]), 1.0
        if self.crop == "resize":
            large = round(side * 8 / 7)
            scale = side / large
            ranges = [(0, length * large // side - length) for length in x.shape[2:]]
        else:
            reach = round(side / (8 if self.crop == "reflect" else 7))
            ranges = [(-reach, reach)] * 2
        offsets = [torch.randint(low, high + 1, (len(x),), generator=generator) for low, high in ranges]
        mirrored = (torch.rand(len(x), generator=generator) < 0.5) & self.flip
        reflect = self.crop != "zeros"
        view = shifted(
            x, torch.stack(offsets, 1) * scale, mirrored, scale=scale, border="reflect" if reflect else "fill"
        )
        return view.contiguous(memory_format=torch.channels_last)
