"""Reading images: one image as 8-bit RGB, many images of any size as one array."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ucbench.data.imageset import UInt8Images
from ucbench.errors import DataError

Encoded = Path | bytes | memoryview
Pixels = NDArray[np.uint8]
Resample = Literal["bicubic", "bilinear"]

#: Largest default side for images of several sizes: the ImageNet crop.
LARGEST_DEFAULT_SIDE = 224

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_SIDEWAYS = (5, 6, 7, 8)
#: Signature, length and name of the first chunk, width, height (PNG specification, sections 5.2 and 11.2.1).
_PNG_HEAD = struct.Struct(">8sI4sII")
_BLOCK = 64
#: Encoded plus decoded bytes per image below which the interpreter dominates and threads only slow it down.
_SMALL = 16 * 1024


@dataclass(frozen=True, eq=False)
class Picture:
    """One image to be read.

    Attributes:
        source: a file, an encoded file's bytes, or decoded pixels (uint8 ``[H, W, 3]``, RGB).
        where: its name in errors: the file, or the file and the row.
    """

    source: Encoded | Pixels
    where: str

    def pixels(self) -> Pixels:
        """uint8 ``[H, W, 3]``, RGB.

        Raises:
            DataError: if it cannot be read; the text names ``where``.
        """
        return self.source if isinstance(self.source, np.ndarray) else decode(self.source, self.where)

    def size(self) -> tuple[int, int]:
        """Height and width of :meth:`pixels`, from the file's header where possible.

        Raises:
            DataError: if it cannot be read; the text names ``where``.
        """
        if isinstance(self.source, np.ndarray):
            return self.source.shape[0], self.source.shape[1]
        if side := _side_of_square_png(self.source):
            return side, side
        with _opened(self.source, self.where) as image:
            width, height = image.size
            # Reading the orientation may decode the whole image; a square does not need it.
            if width != height and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                width, height = height, width
        return height, width


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


def decode(source: Encoded, where: str = "") -> Pixels:
    """Read one image as uint8 ``[H, W, 3]``, RGB.

    The EXIF orientation is applied, transparency is blended onto white, 16-bit grey is scaled to 8 bits, grey, palette
    and CMYK images are converted. Of an animation the first frame is read.

    Args:
        source: a file's path, or its bytes.
        where: the image's name in errors; by default the path.

    Raises:
        DataError: if the file is missing, damaged, truncated, not an image, or of a depth whose white is undefined.
    """
    with _opened(source, where) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            return _from_deep_grey(image)
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def choose_framing(
    training: Sequence[Picture],
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
        DataError: if ``size`` is None and there are no images, or one cannot be read.
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
        raise DataError("The training split holds no images.")
    sizes = _sizes(training)
    height, width = sizes.min(axis=0).tolist()
    if (sizes == sizes[0]).all():
        return Framing((height, width), (height, width), resample, f"pictures are {height}x{width} (height x width)")
    side = min(LARGEST_DEFAULT_SIDE, height, width)
    return Framing(
        (side, side),
        (side, side),
        resample,
        f"pictures of several sizes: short side {side} px ({resample}), middle {side}x{side} kept",
    )


def assemble(pictures: Sequence[Picture], framing: Framing) -> UInt8Images:
    """Read images into one uint8 array ``[N, 3, *framing.crop]``, in order.

    Large images are decoded in threads. Besides the result, memory holds one decoded image per thread.

    Raises:
        DataError: if an image cannot be read; the text names the first one.
    """
    height, width = framing.crop
    images = np.empty((len(pictures), 3, height, width), np.uint8)

    def read(row: int) -> None:
        images[row] = framing.apply(pictures[row].pixels()).transpose(2, 0, 1)

    for_each(read, pictures, decoded_bytes=3 * height * width)
    return images


def _sizes(pictures: Sequence[Picture]) -> NDArray[np.int64]:
    sizes = np.empty((len(pictures), 2), np.int64)

    def read(row: int) -> None:
        sizes[row] = pictures[row].size()

    for_each(read, pictures, decoded_bytes=0)
    return sizes


def for_each(work: Callable[[int], None], pictures: Sequence[Picture], decoded_bytes: int) -> None:
    """Call ``work`` with every row number, in threads where that is faster; raises the error of the first row."""

    def work_on(rows: range) -> None:
        for row in rows:
            work(row)

    if _encoded_bytes(pictures) + decoded_bytes * len(pictures) < _SMALL * len(pictures):
        work_on(range(len(pictures)))
        return
    blocks = [range(start, min(start + _BLOCK, len(pictures))) for start in range(0, len(pictures), _BLOCK)]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(work_on, blocks):
            pass


def _encoded_bytes(pictures: Sequence[Picture]) -> float:
    """Bytes in memory; infinite where files must be opened, since threads hide their latency."""
    return sum(float("inf") if isinstance(picture.source, Path) else len(picture.source) for picture in pictures)


@contextmanager
def _opened(source: Encoded, where: str) -> Iterator[Image.Image]:
    # Pillow's decoders raise nearly any exception for damaged files (OSError, SyntaxError, struct.error, ...).
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            yield image
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is unknown or its header damaged" if unknown else str(error)
        raise DataError(f"{where or _name(source)}: cannot be read as an image: {reason}") from error


def _side_of_square_png(source: Encoded) -> int | None:
    """From the first 24 bytes of a PNG, since opening a small image takes as long as decoding it."""
    if isinstance(source, Path):
        return None
    head = bytes(source[: _PNG_HEAD.size])
    if len(head) < _PNG_HEAD.size:
        return None
    signature, _, chunk, width, height = _PNG_HEAD.unpack(head)
    square: bool = (signature, chunk) == (b"\x89PNG\r\n\x1a\n", b"IHDR") and width == height
    return int(width) if square else None


def _name(source: Encoded) -> str:
    return str(source) if isinstance(source, Path) else f"{len(source)} bytes"


def _from_deep_grey(image: Image.Image) -> Pixels:
    """16-bit grey to 8-bit RGB: 65535 is white, rounded to the nearest level."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("white is undefined for grey of more than 16 bits; convert it to 8 or 16 bits")
    grey = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
