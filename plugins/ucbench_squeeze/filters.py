"""Filters that smooth: median, mean (Liu et al., ICML 2023, arXiv 2301.13838), and shrinking and enlarging."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from kornia.filters import box_blur
from PIL import Image
from torch import Tensor

from ucbench import as_double, reflect_pad
from ucbench_squeeze.params import FilterParams, ResizingParams
from ucbench_squeeze.squeezing import Squeezing, change_each


class MeanFilter(Squeezing[FilterParams]):
    """Replace every value by the mean over ``kernel x kernel`` pixels around it, to the nearest integer.

    Images are padded by reflection, the border's own pixels not repeated: the default of OpenCV, which ISS uses.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        side, (height, width) = self.params.kernel, pixels.shape[2:]
        # kornia reflects by less than a side.
        margin = side // 2 if side // 2 >= min(height, width) else 0
        # In float64, which neither autocast nor TF32 rounds. An odd number of pixels leaves no ties.
        means = box_blur(as_double(reflect_pad(pixels, margin)), side).round_()
        return means[:, :, margin : margin + height, margin : margin + width].to(pixels)


class MedianFilter(Squeezing[FilterParams]):
    """Replace every value by the median, channel by channel, over ``kernel x kernel`` pixels around it.

    Images are padded as in :class:`MeanFilter`. ``median_blur`` of kornia has the same values, and takes 5 to 20 times
    as long.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        side = self.params.kernel
        rows = _windows(reflect_pad(pixels, side // 2), side, 2)
        return _median([window for row in rows for window in _windows(row, side, 3)])


class DownUpResizing(Squeezing[ResizingParams]):
    """Shrink every image ``factor`` times by area averaging, and enlarge it to its size by bicubic interpolation.

    Sides that are no multiples of the factor are rounded up: 7 becomes 4. A pixel of the small image is the mean of
    the pixels whose centres lie in its area; the interpolation is that of Keys (1981) with a = -0.5, clipped to 0 to
    255. Both are Pillow's (``BOX`` and ``BICUBIC``), which round to 8 bits after each of the two directions.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        small = (-(-width // self.params.factor), -(-height // self.params.factor))

        def squeeze(image: Image.Image) -> Image.Image:
            shrunk = image.resize(small, Image.Resampling.BOX)
            return shrunk.resize((width, height), Image.Resampling.BICUBIC)

        return change_each(pixels, squeeze)


def _windows(x: Tensor, side: int, dim: int) -> list[Tensor]:
    """The ``side`` views of ``x`` that are shifted along ``dim`` and shorter by ``side - 1``."""
    return [x.narrow(dim, i, x.shape[dim] - side + 1) for i in range(side)]


def _median(values: Sequence[Tensor]) -> Tensor:
    """The median, element by element, of an odd number (3 or more) of tensors of one shape.

    Among more than half of the values, neither the smallest nor the largest can be the median of all: drop both, add
    one of the remaining values, and repeat until one value is left. This takes only minima and maxima of whole tensors,
    and several times less time than sorting every neighbourhood.
    """
    start = len(values) // 2 + 2
    held, waiting = list(values[:start]), list(values[start:])
    while True:
        last = len(held) - 1
        middle = len(held) // 2
        for i in range(middle):
            _exchange(held, i, last - i)
        for i in range(1, last - middle + 1):
            _exchange(held, 0, i)
        for i in range(middle, last):
            _exchange(held, i, last)
        held = held[1:-1]
        if not waiting:
            return held[0]
        held.append(waiting.pop())


def _exchange(values: list[Tensor], low: int, high: int) -> None:
    """Put the smaller of two values, element by element, to ``low`` and the larger to ``high``."""
    a, b = values[low], values[high]
    values[low], values[high] = torch.minimum(a, b), torch.maximum(a, b)
