"""Reading an image as 8-bit RGB, from a file, its bytes or pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ucbench.errors import DataError

Encoded = Path | bytes | memoryview
Pixels = NDArray[np.uint8]

_SIDEWAYS = (5, 6, 7, 8)
#: Signature, length and name of the first chunk, width, height (PNG specification, sections 5.2 and 11.2.1).
_PNG_HEAD = struct.Struct(">8sI4sII")


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
