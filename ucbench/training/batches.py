"""A training set on the device, cut into shuffled batches with random crops and flips per image.

The images stay uint8, padded and channels-last, so that one gather crops and mirrors a batch and returns it in the
layout of the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench.data.imageset import ImageSet
from ucbench.training.padding import reflect_pad

#: Images enlarged at once, which bounds the memory and changes no number.
_TOGETHER = 256


def split_evenly(count: int, batch: int) -> int:
    """Number of batches for ``count`` images, all of which are used, in batches whose sizes differ by at most one.

    A small last batch would have poor batch-norm statistics, so the remainder is spread over the epoch. No batch holds
    a single image, unless the set does.
    """
    return max(1, min(math.ceil(count / batch), count // 2))


def _enlarged(images: Tensor, factor: float) -> Tensor:
    """uint8 ``[N, 3, H, W]`` with sides ``factor`` times as long, rounded to whole pixels; bilinear."""
    if factor == 1:
        return images
    size = [round(side * factor) for side in images.shape[2:]]
    parts = [
        F.interpolate(part.float(), size, mode="bilinear", align_corners=False).round_().to(torch.uint8)
        for part in images.split(_TOGETHER)
    ]
    return torch.cat(parts)


@dataclass(frozen=True)
class Draws:
    """The random decisions of one epoch: order ``[N]``, offsets ``[N, 2]``, mirrored ``[N]``."""

    order: Tensor
    offsets: Tensor
    mirrored: Tensor


class ResidentSet:
    """A training set on ``device``, cut into shuffled, augmented batches.

    Args:
        train: the image set; labels are required.
        padding: pixels of padding on each side; a crop is a window of the image's size at a uniform offset.
        border: what the padding shows: ``black``, or the image's reflection (``reflect``).
        enlarge: factor by which images are enlarged before padding, bilinearly, to whole pixels and levels.
        flip: mirror half of the images.
        alternate: mirror in every epoch but the first exactly those images that the epoch before left as they are.
        device: device of the uint8 pixels.
    """

    def __init__(
        self,
        train: ImageSet,
        *,
        padding: int,
        flip: bool,
        device: torch.device,
        border: Literal["black", "reflect"] = "black",
        enlarge: float = 1.0,
        alternate: bool = False,
    ) -> None:
        self.height, self.width = train.size
        self.flip, self.alternate, self.device = flip, alternate, device
        self._mirrored: Tensor | None = None  # by image, where it alternates
        inner = _enlarged(torch.from_numpy(train.images.copy()), enlarge).to(device).permute(0, 2, 3, 1)
        if border == "reflect":
            pixels = reflect_pad(inner, padding, (1, 2))
        else:
            pixels = F.pad(inner, (0, 0, padding, padding, padding, padding))
        self._pixels = pixels.contiguous()
        self._room = pixels.shape[1] - self.height, pixels.shape[2] - self.width
        self.labels = torch.from_numpy(train.known_labels.copy()).to(device)
        self._rows = torch.arange(self.height, device=device)
        self._cols = torch.arange(self.width, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, generator: torch.Generator) -> Draws:
        """Draw the next epoch's randomness on the CPU, so that it is the same on every device.

        With ``alternate``, epochs are drawn in order: each mirrors what the one before did not.
        """
        count = len(self)
        order = torch.randperm(count, generator=generator)
        down, right = self._room
        if down == right:
            offsets = torch.randint(0, down + 1, (count, 2), generator=generator)
        else:
            offsets = torch.stack([torch.randint(0, n + 1, (count,), generator=generator) for n in self._room], 1)
        mirrored = torch.rand(count, generator=generator) < 0.5
        if not self.flip:
            mirrored = torch.zeros_like(mirrored)
        elif self.alternate:
            self._mirrored = mirrored if self._mirrored is None else ~self._mirrored
            mirrored = self._mirrored[order]
        return Draws(order.to(self.device), offsets.to(self.device), mirrored.to(self.device))

    def gather(self, indices: Tensor, offsets: Tensor, mirrored: Tensor) -> Tensor:
        """Images at ``indices`` ``[B]``, cropped at ``offsets`` ``[B, 2]``: float32 ``[B, 3, H, W]`` in [0, 1].

        ``mirrored`` is bool ``[B]``.
        """
        rows = offsets[:, :1] + self._rows
        straight = self._cols.expand(len(indices), -1)
        cols = offsets[:, 1:] + torch.where(mirrored[:, None], self.width - 1 - straight, straight)
        pixels = self._pixels[indices[:, None, None], rows[:, :, None], cols[:, None, :]]
        return pixels.permute(0, 3, 1, 2).float().div_(255.0)

    def epoch(self, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once as ``(x, labels)``: float32 ``[B, 3, H, W]`` in [0, 1] and int64 ``[B]``."""
        draws = self.draw(generator)
        parts = split_evenly(len(self), batch)
        for indices, offsets, mirrored in zip(
            draws.order.tensor_split(parts),
            draws.offsets.tensor_split(parts),
            draws.mirrored.tensor_split(parts),
            strict=True,
        ):
            yield self.gather(indices, offsets, mirrored), self.labels[indices]
