"""Median and mean filters (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ucbench_squeeze.params import FilterParams
from ucbench_squeeze.squeezing import Squeezing


class MeanFilter(Squeezing[FilterParams]):
    """Replace every value by the mean over ``kernel x kernel`` pixels around it, to the nearest integer.

    Pictures go on beyond their border as their mirror image, the border's own pixels not doubled, as by default in
    OpenCV, which ISS uses. (The code of ISS hands it arrays with the channels first, where it takes them last; what is
    meant is done here.)
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        side = self.params.kernel
        total = _mirrored(pixels, side // 2).int()
        for dim in (2, 3):
            total = torch.stack(_windows(total, side, dim)).sum(0, dtype=torch.int32)
        # An odd number of pixels leaves no ties.
        return torch.div(2 * total + side**2, 2 * side**2, rounding_mode="floor").to(torch.uint8)


class MedianFilter(Squeezing[FilterParams]):
    """Replace every value by the median, channel by channel, over ``kernel x kernel`` pixels around it.

    Pictures go on beyond their border as in :class:`MeanFilter`, where ISS (OpenCV) repeats the border's pixels.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        side = self.params.kernel
        rows = _windows(_mirrored(pixels, side // 2), side, 2)
        return _median([window for row in rows for window in _windows(row, side, 3)])


def _windows(x: Tensor, side: int, dim: int) -> list[Tensor]:
    """The ``side`` views of ``x`` that are shifted along ``dim`` and shorter by ``side - 1``."""
    return [x.narrow(dim, i, x.shape[dim] - side + 1) for i in range(side)]


def _mirrored(pixels: Tensor, reach: int) -> Tensor:
    """``pixels`` ``[B, 3, H, W]`` with ``reach`` more on every side, mirrored at the border, back and forth if need be.

    By index, since torch's reflection padding takes no uint8, and no more than a side has.
    """
    rows, columns = (_mirrored_index(length, reach).to(pixels.device) for length in pixels.shape[2:])
    return pixels.index_select(2, rows).index_select(3, columns)


def _mirrored_index(length: int, reach: int) -> Tensor:
    """Where positions ``-reach`` to ``length + reach - 1`` come to lie: 2 1 0 1 2 3 2 1 for 4 and 2."""
    period = max(1, 2 * (length - 1))
    position = torch.arange(-reach, length + reach).remainder(period)
    return torch.minimum(position, period - position)


def _median(values: Sequence[Tensor]) -> Tensor:
    """The median, element by element, of an odd number (3 or more) of tensors of one shape.

    Among two more than half of the values, neither the smallest nor the largest is needed as the median of all: these
    two are dropped and another value is taken in, until all have been and one is left. This takes minima and maxima
    of whole tensors only, and so several times less time than to sort every neighbourhood by itself.
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
