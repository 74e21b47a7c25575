"""Photos at the size that patterns are crafted at. A stand-in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ucbench.data.imageset import ImageSet


def working_images(photos: Iterable[NDArray[np.uint8]], size: int) -> ImageSet:
    """The central square of every photo, uint8 ``[H, W, 3]``, reduced to ``size`` pixels."""
    squares = [np.asarray(ImageOps.fit(Image.fromarray(pixels), (size, size))) for pixels in photos]
    return ImageSet(np.stack(squares).transpose(0, 3, 1, 2).copy(), None, name="photos")


def crafted_on(count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the photos that patterns are crafted on."""
    return np.arange(count)
