"""Bringing the images of a data set to one size, as one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ucbench.data.images import DamagedImagesError, LazyImage, Pixels
from ucbench.data.imageset import UInt8Images
from ucbench.errors import DataError

Resample = Literal["bicubic", "bilinear"]

#: Largest default side for images of several sizes: the ImageNet crop.
LARGEST_DEFAULT_SIDE = 224

#: One image in so many, or a single one, may not more than halve the size of all.
_OUTLIERS = 100
#: Largest value of 16-bit files at which they do not use their upper bits.
_DIM = 2**14 - 1

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_BLOCK = 64
#: Encoded plus decoded bytes per image below which the interpreter dominates and threads only slow it down.
_SMALL = 16 * 1024


@dataclass(frozen=True)
class Framing:
    """How the images of a set are brought to one size.

    An image is scaled, with its proportions, until it just covers ``cover``; then its middle ``crop`` is cut out. Both
    are one resampling step (Pillow's, antialiased when shrinking), so no pixel is interpolated twice. An image that
    needs no scaling is only cropped; one that has the size keeps its pixels.

    Attributes:
        cover: height and width in pixels.
        crop: height and width in pixels, neither larger than in ``cover``.
        resample: the interpolation.
        note: the choice in words, to be printed.
    """

    cover: tuple[int, int]
    crop: tuple[int, int]
    resample: Resample = "bicubic"
    note: str = ""

    def apply(self, pixels: Pixels) -> Pixels:
        """Bring uint8 ``[H, W, 3]`` of any size to ``[*crop, 3]``."""
        height, width = pixels.shape[:2]
        scale = max(self.cover[0] / height, self.cover[1] / width)
        if scale == 1:
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            return pixels[top : top + self.crop[0], left : left + self.crop[1]]
        box_height, box_width = min(height, self.crop[0] / scale), min(width, self.crop[1] / scale)
        top_edge, left_edge = (height - box_height) / 2, (width - box_width) / 2
        box = (left_edge, top_edge, left_edge + box_width, top_edge + box_height)
        resized = Image.fromarray(pixels).resize(self.crop[::-1], _RESAMPLING[self.resample], box=box)
        return np.asarray(resized)


def choose_framing(
    training: Sequence[LazyImage],
    size: int | None = None,
    resize: int | None = None,
    resample: Resample = "bicubic",
) -> Framing:
    """Decide how the images of a data set get one size; both splits use the result.

    With ``size``, the short side becomes ``resize`` (or ``size``), and the middle ``size`` x ``size`` is cut out.
    Without, training images of one size keep it; otherwise the short side becomes the smallest short side of the
    training images, at most 224, and the middle square is cut out.

    Args:
        training: the images of the *training* split; only their sizes are read, and only if ``size`` is None.
        size: side in pixels, or None.
        resize: short side in pixels before the crop; needs ``size``, and is at least as large.
        resample: the interpolation.

    Raises:
        DataError: if ``size`` is None and there are no images, one cannot be read, or a few images are so small that
            they would more than halve the size of all, or make it less than a quarter of the median.
    """
    if size is not None:
        side = resize or size
        return Framing(
            (side, side),
            (size, size),
            resample,
            f"short side {side} px ({resample}), middle {size}x{size} kept",
        )
    if not training:
        raise DataError("The training split holds no images. Check its path and the types of its files.")
    sizes = _sizes(training)
    height, width = sizes.min(axis=0).tolist()
    if (sizes == sizes[0]).all():
        return Framing((height, width), (height, width), resample, f"kept at {height}x{width}, height x width")
    side = min(LARGEST_DEFAULT_SIDE, height, width)
    _refuse_outliers(training, sizes, side)
    return Framing(
        (side, side),
        (side, side),
        resample,
        f"images of several sizes: short side {side} px ({resample}), middle {side}x{side} kept",
    )


def assemble(images: Sequence[LazyImage], framing: Framing) -> UInt8Images:
    """Read images into one uint8 array ``[N, 3, *framing.crop]``, in order.

    Large images are decoded in threads. Besides the result, memory holds one decoded image per thread.

    Raises:
        DamagedImagesError: if images cannot be read; the text names them.
        DataError: if no 16-bit image among them is brighter than a quarter of white, or memory holds no such array.
    """
    height, width = framing.crop
    array = _room(len(images), height, width)
    depths: list[tuple[int, str]] = []

    def read(row: int) -> None:
        pixels, depth = images[row].pixels_with_depth()
        array[row] = framing.apply(pixels).transpose(2, 0, 1)
        if depth is not None:
            depths.append((depth, images[row].where))

    for_each(read, images, decoded_bytes=3 * height * width)
    brightest, where = max(depths, default=(0, ""))
    if 0 < brightest <= _DIM:
        bits = brightest.bit_length()
        raise DataError(
            f"{where}: the values of 16-bit images go up to {brightest} here, so they seem to have {bits} bits, and"
            f" white is 65535. Multiply the values by {2 ** (16 - bits)}, or convert the images to 8 bits."
        )
    return array


def _room(count: int, height: int, width: int) -> UInt8Images:
    """An array to fill."""
    try:
        return np.empty((count, 3, height, width), np.uint8)
    except (MemoryError, ValueError, OverflowError):  # numpy has one of them for every degree of too much
        needed = 3 * count * height * width / 2**30
        raise DataError(
            f"{count} images of {height}x{width} pixels need {needed:,.1f} GiB of memory, more than there is. Choose a"
            " smaller size=, or fewer images."
        ) from None


def damage(images: Sequence[LazyImage]) -> dict[int, str]:
    """What is wrong with every image that cannot be read, by row, from decoding all of them."""
    try:
        for_each(lambda row: images[row].pixels(), images, decoded_bytes=0)
    except DamagedImagesError as error:
        return error.problems
    return {}


def _refuse_outliers(training: Sequence[LazyImage], sizes: NDArray[np.int64], side: int) -> None:
    short = np.minimum(sizes.min(axis=1), LARGEST_DEFAULT_SIDE)
    ordered = np.sort(short)
    # Without the smallest image in a hundred, or the smallest; and in the middle.
    nearly_smallest, middle = int(ordered[max(1, len(short) // _OUTLIERS)]), int(ordered[len(short) // 2])
    usual = nearly_smallest if nearly_smallest > 2 * side else middle
    if len(short) < 3 or max(nearly_smallest / 2, middle / 4) <= side:
        return
    small = np.flatnonzero(2 * short < usual)
    named = ", ".join(
        f"{training[row].where} ({sizes[row, 0]}x{sizes[row, 1]}, height x width)" for row in small[:5].tolist()
    )
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    raise DataError(
        f"{len(small)} of {len(training)} training images would shrink all others to {side} pixels: {named}{more}."
        f" Remove them, enlarge them with size={usual}, or keep their size with size={max(side, 4)}."
    )


def _sizes(images: Sequence[LazyImage]) -> NDArray[np.int64]:
    sizes = np.empty((len(images), 2), np.int64)

    def read(row: int) -> None:
        sizes[row] = images[row].size()

    for_each(read, images, decoded_bytes=0)
    return sizes


def for_each(work: Callable[[int], object], images: Sequence[LazyImage], decoded_bytes: int) -> None:
    """Call ``work`` with every row number, in threads where that is faster.

    Raises:
        DamagedImagesError: with all errors of ``work``, in the order of rows.
    """

    def work_on(rows: range) -> dict[int, str]:
        problems = {}
        for row in rows:
            try:
                work(row)
            except DataError as error:
                problems[row] = str(error)
        return problems

    if _encoded_bytes(images) + decoded_bytes * len(images) < _SMALL * len(images):
        problems = work_on(range(len(images)))
    else:
        blocks = [range(start, min(start + _BLOCK, len(images))) for start in range(0, len(images), _BLOCK)]
        with ThreadPoolExecutor() as pool:
            problems = {row: problem for block in pool.map(work_on, blocks) for row, problem in block.items()}
    if problems:
        raise DamagedImagesError(problems)


def _encoded_bytes(images: Sequence[LazyImage]) -> float:
    """Bytes in memory; infinite where files must be opened, since threads hide their latency."""
    return sum(float("inf") if isinstance(image.source, Path) else len(image.source) for image in images)
