"""The rule by which a pattern of the working size changes a photo of any size.

The pattern is resized to the photo's shorter side, lies on the photo's central square, and repeats along the longer
side. Values are sums of whole numbers below 2**53, divided once and rounded: every computer gets the same bytes,
whatever the blocks of rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.data.budget import BLOCK_VALUES, Changes, Floats
from ucbench.data.images import Pixels
from ucbench.errors import ContractError


def stretched(changes: Changes, height: int, width: int, rows: slice = slice(None)) -> Changes:
    """The change of each value of a photo, in some of its rows.

    With n the photo's shorter side, the pattern is resized to n x n, bilinearly (middles of pixels at half-integers,
    edges clamped; the filter is widened where the pattern shrinks, as by torch's ``interpolate`` with ``antialias``).
    It is rounded to whole levels, half to even.

    Args:
        changes: int16 ``[3, W, W]`` in 8-bit levels at the working size W.
        height: of the photo, in pixels.
        width: of the photo, in pixels.
        rows: of the photo; all by default. A step is not used.

    Returns:
        int16 ``[3, rows, width]``, none larger in absolute value than the largest of ``changes``.

    Raises:
        ContractError: if ``changes`` has another type or shape, or the photo has no pixel.
    """
    return _Stretch(changes, height, width).rows(*rows.indices(height)[:2])


def perturbed(pixels: Pixels, changes: Changes) -> Pixels:
    """A photo uint8 ``[H, W, 3]`` with ``changes`` (int16 ``[3, W, W]``) :func:`stretched` to it, clipped to 0..255.

    Beyond the photo and the result, memory holds blocks of rows, and 3 W float64 for each column of the photo.

    Raises:
        ContractError: as :func:`stretched`; or if ``pixels`` has another type or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ContractError(f"A photo must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}.")
    height, width = pixels.shape[:2]
    stretch, result = _Stretch(changes, height, width), np.empty_like(pixels)
    step = max(1, BLOCK_VALUES // (3 * width))
    for start in range(0, height, step):
        stop = min(start + step, height)
        moved = stretch.rows(start, stop).transpose(1, 2, 0) + pixels[start:stop]
        np.clip(moved, 0, 255, out=result[start:stop], casting="unsafe")
    return result


def central_square(pixels: Pixels) -> Pixels:
    """The square ``[n, n, 3]`` of a photo ``[H, W, 3]`` on which the pattern lies; a view."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = _start(height, side), _start(width, side)
    return pixels[top : top + side, left : left + side]


class _Stretch:
    """One pattern on one size of photo, already resized along the rows."""

    def __init__(self, changes: Changes, height: int, width: int) -> None:
        if changes.dtype != np.int16 or changes.ndim != 3 or changes.shape != (3, *changes.shape[2:] * 2):
            raise ContractError(f"A pattern must be int16 [3, W, W], got {changes.dtype} {list(changes.shape)}.")
        if min(height, width) < 1:
            raise ContractError(f"A photo has at least one pixel, got {height} x {width}.")
        self._size, self._side, self._height = changes.shape[2], min(height, width), height
        columns, self._parts = _weights(self._places(range(width), width), self._size, self._side)
        self._wide = changes.astype(np.float64) @ columns.T

    def rows(self, start: int, stop: int) -> Changes:
        """The changes int16 ``[3, stop - start, width]`` of these rows."""
        weights, parts = _weights(self._places(range(start, stop), self._height), self._size, self._side)
        used = np.flatnonzero(weights.any(0))
        sums = weights[:, used] @ self._wide[:, used]
        sums /= parts[:, None] * self._parts
        return np.rint(sums, out=sums).astype(np.int16)

    def _places(self, pixels: range, length: int) -> NDArray[np.int64]:
        """Where in the square pixels of a side of the photo are, ``length`` long."""
        return (np.asarray(pixels, np.int64) - _start(length, self._side)) % self._side


def _start(length: int, side: int) -> int:
    return (length - side) // 2


def _weights(places: NDArray[np.int64], source: int, target: int) -> tuple[Floats, Floats]:
    """Weights ``[P, source]`` of the pixels at ``places`` of ``target`` pixels, and their sums ``[P]``; whole numbers.

    The triangle filter's weight at a distance of d source pixels is 1 - d, or 1 - d * target / source where the image
    shrinks. Both are multiples of 1 / (2 * max(source, target)), in which they are counted here.
    """
    middles = (2 * places + 1) * source
    pixels = (2 * np.arange(source, dtype=np.int64) + 1) * target
    counts = np.maximum(2 * max(source, target) - np.abs(middles[:, None] - pixels), 0).astype(np.float64)
    return counts, counts.sum(1)
