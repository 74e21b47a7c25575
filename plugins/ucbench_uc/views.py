"""How the images are cropped and flipped while crafting, differentiably."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ucbench import shifted

Crop = Literal["resize", "reflect", "zeros", "scales"]
Augment = Literal["none", "images", "perturbed"]

#: Least share of the image's area that a crop of ``scales`` shows.
LEAST_AREA = 0.25
#: Most that a crop of ``scales`` changes the ratio of the image's sides; the least is its reciprocal.
MOST_RATIO = 4 / 3


@dataclass(frozen=True)
class Views:
    """Random views of images, with or without their perturbation.

    Attributes:
        augment: whether to crop and flip nothing, the images before adding, or the perturbed images.
        crop: ``resize`` enlarges the image by 8/7, bilinearly, and cuts out a window of its size, as torchvision's
            Resize(256) and RandomCrop(224); it differs from that in the outermost pixels, which are mixed with their
            neighbours (a sixteenth). ``reflect`` shifts it by up to an eighth of its shorter side, and its reflection
            moves in; ``zeros`` shifts it by up to a seventh, and black moves in. All these by whole pixels of the
            output. ``scales`` enlarges a window anywhere in the image to its size, as torchvision's RandomResizedCrop:
            its share of the area is uniform in [1/4, 1], and the factor on the ratio of its sides log-uniform in
            [3/4, 4/3], as far as the window fits in.
        flip: whether to mirror half of the images.
        reach: pixels by which ``reflect`` and ``zeros`` shift at most, instead of a share of the side.
        jpeg: quality of the JPEG, with a gradient, that perturbed images become before they are cropped; or None.
        enlarge: factor by which ``resize`` enlarges, instead of 8/7.
    """

    augment: Augment
    crop: Crop
    flip: bool
    jpeg: int | None = None
    reach: int | None = None
    enlarge: float = 8 / 7

    def perturbed(self, x: Tensor, delta: Tensor, generator: torch.Generator) -> Tensor:
        """Views ``[B, 3, H, W]`` in [0, 1] of images ``x`` of that shape and range, with ``delta`` added to them."""
        if self.augment == "images":
            return self._compressed((self.drawn(x, generator) + delta).clamp(0, 1))
        return self.drawn(self._compressed((x + delta).clamp(0, 1)), generator)

    def drawn(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``x`` ``[B, 3, H, W]`` cropped and flipped, each image on its own; as it is with ``augment=none``."""
        if self.augment == "none":
            return x
        draw = _windows if self.crop == "scales" else self._shifts
        scale, offsets = draw(len(x), x.shape[2:], generator)
        mirrored = (torch.rand(len(x), generator=generator) < 0.5) & self.flip
        view = shifted(x, offsets, mirrored, scale=scale, border="fill" if self.crop == "zeros" else "reflect")
        return view.contiguous(memory_format=torch.channels_last)

    def _shifts(self, count: int, size: torch.Size, generator: torch.Generator) -> tuple[float | Tensor, Tensor]:
        """The scale, and offsets ``[count, 2]`` in pixels, of the crops that move an image."""
        side, scale = min(size), 1.0
        if self.crop == "resize":
            large = round(side * self.enlarge)
            scale = side / large
            ranges = [(0, length * large // side - length) for length in size]
        else:
            reach = round(side / (8 if self.crop == "reflect" else 7)) if self.reach is None else self.reach
            ranges = [(-reach, reach)] * 2
        offsets = [torch.randint(low, high + 1, (count,), generator=generator) for low, high in ranges]
        return scale, torch.stack(offsets, 1) * scale

    def _compressed(self, x: Tensor) -> Tensor:
        if self.jpeg is None:
            return x
        from kornia.enhance import jpeg_codec_differentiable  # takes seconds to import

        return jpeg_codec_differentiable(x, torch.tensor([self.jpeg]).to(x)).clamp(0, 1)


def _windows(count: int, size: torch.Size, generator: torch.Generator) -> tuple[float | Tensor, Tensor]:
    """Scales and offsets ``[count, 2]`` (down and right; in pixels) of random windows of an image of ``size``."""
    area, ratio, *places = torch.rand((4, count), generator=generator)
    area = LEAST_AREA + (1 - LEAST_AREA) * area
    # A window of a ratio beyond this would be wider or higher than the image.
    most = torch.minimum(-area.log(), torch.tensor(math.log(MOST_RATIO)))
    factor = ((2 * ratio - 1) * most).exp()
    scale = torch.stack([(area / factor).sqrt(), (area * factor).sqrt()], 1).clamp(max=1)  # above 1 by rounding
    return scale, torch.stack(places, 1) * (1 - scale) * torch.tensor(size)
