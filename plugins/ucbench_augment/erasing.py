"""Erasing a part of every image: Cutout and Random Erasing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ucbench_augment.drawing import centred_boxes, in_box, inner_boxes, on_share, uniform

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import CutoutParams, RandomErasingParams

#: Rectangles tried for an image before it is left unchanged.
_TRIES = 20


class Cutout:
    """Cutout (DeVries and Taylor 2017): a black square around a uniformly drawn pixel, partly outside at the border.

    The side is relative to the image's shorter one; most presets are published sides at 32 pixels. With ``inside`` it
    is a rectangle of the image's proportions, uniform among those wholly inside.
    """

    def __init__(self, params: CutoutParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1], each with its own square."""
        return on_share(x, self.params.probability, generator, self._cut)

    def _cut(self, x: Tensor, generator: torch.Generator) -> Tensor:
        size, side = (x.shape[2], x.shape[3]), self.params.side
        if self.params.inside:
            height, width = (torch.full((len(x),), max(1, int(side * length))) for length in size)
            boxes = inner_boxes(height, width, size, generator)
        else:
            sides = torch.full((len(x),), max(1, round(side * min(size))))
            boxes = centred_boxes(sides, sides, size, generator)
        return x.masked_fill(in_box(boxes, size, x.device), 0.0)


class RandomErasing:
    """Random Erasing (Zhong et al. 2020), the paper's variant RE-R: a rectangle of uniform noise, wholly inside.

    The area is drawn uniformly, and so is the logarithm of the aspect, so that a rectangle is as often wide as high. A
    rectangle that does not fit is drawn again, at most twenty times.
    """

    def __init__(self, params: RandomErasingParams) -> None:
        self.params = params

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]; about ``probability`` of them have lost a rectangle."""
        return on_share(x, self.params.probability, generator, self._erase)

    def _erase(self, x: Tensor, generator: torch.Generator) -> Tensor:
        size = x.shape[2], x.shape[3]
        erased = in_box(self.rectangles(len(x), size, generator), size, x.device)
        if self.params.fill == "black":
            return x.masked_fill(erased, 0.0)
        return torch.where(erased, torch.rand(x.shape, generator=generator).to(x), x)

    def rectangles(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """One box per image, int64 ``[count, 4]``; an empty one where no try fitted."""
        low, high = self.params.aspect
        aspect = uniform((math.log(low), math.log(high)), count * _TRIES, generator).exp()
        pixels = uniform(self.params.area, count * _TRIES, generator) * (size[0] * size[1])
        sides = torch.stack([pixels * aspect, pixels / aspect], 1).sqrt().round().long().view(count, _TRIES, 2)
        limit = torch.tensor(size)
        fits = (sides <= limit).all(2) & (sides > 0).all(2)
        first = fits.int().argmax(1)
        taken = torch.where(fits.any(1)[:, None], sides[torch.arange(count), first], 0)
        return inner_boxes(taken[:, 0], taken[:, 1], size, generator)
