"""What a smoothing filter takes from an image: the band in which small perturbations stand out from the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ucbench_removal.params import Filter

#: Values worked on at once, which bounds the memory and changes no number.
_VALUES = 1 << 22


def blocks(images: NDArray[np.generic]) -> Iterator[slice]:
    """Slices of bounded memory that cover the first axis of ``images`` ``[N, ...]``."""
    step = max(1, _VALUES // max(1, images[:1].size))
    for begin in range(0, len(images), step):
        yield slice(begin, begin + step)


def residuals(images: NDArray[np.uint8], filter: Filter, scale: float) -> NDArray[np.float16]:
    """Images minus their filtered versions, in 8-bit levels.

    Frequencies that the filter lets pass are not in the residual: the inside of a block larger than the window is 0.

    Args:
        images: ``[N, 3, H, W]``; each channel is filtered by itself, mirrored at the borders.
        filter: ``median`` of a square window of ``2 * scale + 1`` pixels, or ``gaussian``.
        scale: half-width of the window, whole; or the Gaussian's standard deviation. Pixels.

    Returns:
        ``[N, 3, H, W]``: exact for the median, and to a half-precision number for the Gaussian.
    """
    found = np.empty(images.shape, np.float16)
    for block in blocks(images):
        found[block] = images[block] - _filtered(images[block], filter, scale)
    return found


def _filtered(images: NDArray[np.uint8], filter: Filter, scale: float) -> NDArray[np.float32]:
    if filter == "gaussian":
        smooth: NDArray[np.float32] = ndimage.gaussian_filter(
            images.astype(np.float32), (0, 0, scale, scale), mode="mirror"
        )
        return smooth
    side = 2 * int(scale) + 1
    medians: NDArray[np.uint8] = ndimage.median_filter(images, (1, 1, side, side), mode="mirror")
    return medians.astype(np.float32)
