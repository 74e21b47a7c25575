"""Images and labels as callers of the Python API give them.

Images are one array, a list of arrays of several sizes, or of PIL images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from ucbench.data.images import Pixels
from ucbench.data.imageset import Labels
from ucbench.errors import UsageError

Layout = Literal["NCHW", "NHWC"]

#: Where the layout of an array has its channels, without and with the axis of images.
_CHANNELS: dict[str, int] = {"NCHW": -3, "NHWC": -1}


@dataclass(frozen=True, eq=False)
class GivenImages:
    """Images, and the way back to their kind.

    Attributes:
        photos: uint8 ``[H, W, 3]`` each, RGB; views of what was given, where possible.
        returned: gives photos of the same sizes the kind and layout of those that were given.
    """

    photos: NDArray[np.uint8] | Sequence[Pixels]
    returned: Callable[[Iterable[Pixels]], Any]

    @property
    def one_size(self) -> bool:
        """Whether all have one height and width."""
        return len({photo.shape for photo in self.photos}) == 1

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """All as one array ``[N, 3, H, W]``, where they have one size."""
        return np.ascontiguousarray(np.moveaxis(np.asarray(self.photos), -1, 1))


def given_images(images: Any, layout: Layout = "NCHW") -> GivenImages:
    """Read images of any kind.

    Args:
        images: a uint8 array or tensor in main memory, of all images; or a list of arrays, of one image each; or a list
            of PIL images in mode RGB.
        layout: ``NCHW`` for channels first, ``NHWC`` for channels last; in a list of arrays of each, without the N.

    Raises:
        UsageError: if there are no images, or one has another type, shape or mode.
    """
    if layout not in _CHANNELS:
        raise UsageError(f"The layout of images is NCHW or NHWC, got {layout!r}.")
    if isinstance(images, list | tuple) and images and isinstance(images[0], Image.Image):
        return GivenImages(_from_pil(images), lambda photos: [Image.fromarray(photo) for photo in photos])
    axis = _CHANNELS[layout]
    if isinstance(images, list | tuple) and images and getattr(images[0], "ndim", None) == 3:
        arrays = [_pixels(image, f"Image {place}", layout[1:], axis) for place, image in enumerate(images)]
        return GivenImages(
            [np.moveaxis(array, axis, -1) for array in arrays],
            lambda photos: [np.ascontiguousarray(np.moveaxis(photo, -1, axis)) for photo in photos],
        )
    array = _pixels(images, "Images", layout, axis)
    return GivenImages(
        np.moveaxis(array, axis, -1),
        lambda photos: np.ascontiguousarray(np.moveaxis(np.asarray(photos), -1, axis)),
    )


def _from_pil(images: Sequence[Any]) -> list[Pixels]:
    for place, image in enumerate(images):
        mode = image.mode if isinstance(image, Image.Image) else type(image).__name__
        if mode != "RGB":
            raise UsageError(f"Image {place} must be a PIL image in mode RGB, got {mode}: use image.convert('RGB').")
    return [np.asarray(ImageOps.exif_transpose(image)) for image in images]


def given_labels(labels: ArrayLike, count: int) -> Labels:
    """Read the labels of ``count`` images, as int64 ``[N]``, from an array, a tensor in main memory, or a list.

    Raises:
        UsageError: unless they are ``count`` whole numbers from 0.
    """
    array = _array(labels, "Labels")
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise UsageError(f"Labels must be {count} whole numbers, one per image; got {array.dtype} {list(array.shape)}.")
    if array.min() < 0:
        raise UsageError(f"Labels are numbered from 0, got {array.min()}.")
    return array.astype(np.int64)


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # on a GPU, or lists of several lengths
        raise UsageError(f"{what} cannot be read as an array: {error}") from error


def _pixels(values: Any, what: str, layout: str, axis: int) -> NDArray[np.uint8]:
    array = _array(values, what)
    if array.dtype != "uint8" or array.ndim != len(layout) or array.shape[axis] != 3 or not array.size:
        shape = ", ".join(layout.replace("C", "3"))
        hint = ""
        if array.dtype.kind == "f":
            hint = " Scale values to 0..255, round them, and convert them by astype('uint8')."
        elif array.ndim == len(layout) and array.shape[-4 - axis] == 3:  # the other of -3 and -1
            hint = f" Is the layout {'NHWC' if axis == _CHANNELS['NCHW'] else 'NCHW'}?"
        raise UsageError(f"{what} must be uint8 [{shape}], got {array.dtype} {list(array.shape)}.{hint}")
    return array
