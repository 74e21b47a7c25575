"""The working images of photos: their central squares at one size, on which patterns are crafted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ucbench.data.framing import Framing
from ucbench.data.images import Pixels
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.protection.manifest import SIDES
from ucbench.protection.stretch import central_square
from ucbench.store.keys import derive_seed

#: Side of the working images in pixels, by default. It is small for speed, since the time grows with its square;
#: larger ones were tried once only.
SIZE = 32
#: Photos, at most, that patterns are crafted on; each of the others gets one of these patterns.
MOST_CRAFTED = 4096


def working_images(photos: Iterable[Pixels], size: int = SIZE) -> ImageSet:
    """The central square of every photo at ``size`` x ``size``, bicubic, antialiased where it shrinks.

    Args:
        photos: uint8 ``[H, W, 3]``, RGB, of any size; read one at a time.
        size: the working size in pixels.

    Returns:
        Images without labels, in the order of ``photos``.

    Raises:
        DataError: if there are none.
        UsageError: for a working size of less than 8 pixels, or more than 512.
    """
    smallest, largest = SIDES
    if not smallest <= size <= largest:
        raise UsageError(f"The working size is {smallest} to {largest} pixels, got {size}.")
    framing = Framing((size, size), (size, size))
    squares = [np.ascontiguousarray(framing.apply(central_square(photo)).transpose(2, 0, 1)) for photo in photos]
    if not squares:
        raise DataError("There are no photos to protect.")
    return ImageSet(np.stack(squares), None, name="photos")


def crafted_on(count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the photos, of ``count``, that patterns are crafted on: all, or :data:`MOST_CRAFTED` drawn.

    Returns:
        int64, ascending.
    """
    if count <= MOST_CRAFTED:
        return np.arange(count)
    rng = np.random.default_rng(derive_seed("crafted on", seed))
    return np.sort(rng.choice(count, MOST_CRAFTED, replace=False))
