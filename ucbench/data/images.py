"""Reading pictures: any picture to 8-bit RGB, many of any size to one array of one size."""

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

#: Largest side that pictures of several sizes are brought to unless one is asked for: the ImageNet crop.
LARGEST_DEFAULT_SIDE = 224

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_SIDEWAYS = (5, 6, 7, 8)
#: Signature, length and name of the first chunk, width, height (PNG specification, sections 5.2 and 11.2.1).
_PNG_HEAD = struct.Struct(">8sI4sII")
_BLOCK = 64
#: Encoded plus decoded bytes a picture, below which most of the work is Python's own and threads slow it.
_SMALL = 16 * 1024


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture to be read.

    Attributes:
        source: a file, an encoded file's bytes, or decoded pixels (uint8 ``[H, W, 3]``, RGB).
        where: what an error calls it: the file, or the file and the row.
    """

    source: Encoded | Pixels
    where: str

    def pixels(self) -> Pixels:
        """uint8 ``[H, W, 3]``, RGB.

        Raises:
            DataError: naming ``where``.
        """
        return self.source if isinstance(self.source, np.ndarray) else decode(self.source, self.where)

    def size(self) -> tuple[int, int]:
        """Height and width as :meth:`pixels` would have them, from the file's header where that is enough.

        Raises:
            DataError: naming ``where``.
        """
        if isinstance(self.source, np.ndarray):
            return self.source.shape[0], self.source.shape[1]
        if side := _side_of_square_png(self.source):
            return side, side
        with _opened(self.source, self.where) as image:
            width, height = image.size
            # Asking for the orientation may decode the whole picture, and cannot change a square.
            if width != height and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                width, height = height, width
        return height, width


@dataclass(frozen=True)
class Framing:
    """How the pictures of a set are brought to one size.

    A picture is scaled, keeping its proportions, until it just covers ``cover``; then its middle ``crop`` is
    cut out. Both are one resampling step (Pillow's, antialiased when shrinking), so no pixel is interpolated
    twice; a picture that needs no scaling is only cropped, and one that already has the size keeps its bytes.

    Attributes:
        cover: height and width in pixels.
        crop: height and width in pixels, nowhere larger than ``cover``.
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
    """Read one picture as uint8 ``[H, W, 3]``, RGB.

    The EXIF orientation is applied; transparency lies over white; 16-bit grey is scaled to 8 bits; grey,
    palette and CMYK pictures are converted; of an animation the first frame counts.

    Args:
        source: a file's path, or its bytes.
        where: what an error calls the picture; the path if empty.

    Raises:
        DataError: if the file is missing, damaged, truncated, no picture, or of a depth without an agreed
            white.
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
    """Decide how a data set's pictures get one size; both splits then use the answer.

    With ``size``: the short side becomes ``resize`` (or ``size``), and the middle ``size`` x ``size`` is
    kept. Without: training pictures of one size keep it; otherwise the short side becomes the smallest short
    side of the training pictures, at most 224, and the middle square is kept.

    Args:
        training: the pictures of the *training* split; read only where ``size`` is None, and then no more
            than needed.
        size: side in pixels, or None.
        resize: short side in pixels before the crop; needs ``size``, at least as large.
        resample: the interpolation.

    Raises:
        DataError: if there is no picture to decide by, or one cannot be read.
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
        raise DataError("The training split holds no pictures.")
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
    """Read pictures into one uint8 array ``[N, 3, *framing.crop]``, in their order.

    Large pictures are decoded in threads. Beyond the result, memory holds one decoded picture a thread.

    Raises:
        DataError: naming the first picture that cannot be read.
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
    """Call ``work`` with every row number; the error that escapes is the first in order of rows."""

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
    """Bytes held in memory; infinite where files are to be opened, since threads then hide the waiting."""
    return sum(float("inf") if isinstance(picture.source, Path) else len(picture.source) for picture in pictures)


@contextmanager
def _opened(source: Encoded, where: str) -> Iterator[Image.Image]:
    # Pillow's decoders answer damaged files with nearly any exception (OSError, SyntaxError, struct.error,
    # ...).
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            yield image
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is unknown or its header damaged" if unknown else str(error)
        raise DataError(f"{where or _name(source)}: cannot be read as a picture: {reason}") from error


def _side_of_square_png(source: Encoded) -> int | None:
    """From the 24 bytes that every PNG begins with: of a small picture, opening it takes as long as decoding."""
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
        raise ValueError("grey deeper than 16 bits has no agreed white; convert it to 8 or 16 bits")
    grey = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
