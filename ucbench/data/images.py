"""Reading an image as 8-bit RGB, from a file, its bytes or pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ucbench.data.metadata import PNG, without_metadata
from ucbench.errors import DataError

Encoded = Path | bytes | memoryview
Pixels = NDArray[np.uint8]

T = TypeVar("T")

_TIFF = ExifTags.Base
_SIDEWAYS = (5, 6, 7, 8)
#: How an image of an EXIF orientation is made upright.
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Damaged images that an error names.
_NAMED = 20
#: Bytes of signature, length and name of the first chunk, width, height (PNG specification, sections 5.2 and 11.2.1).
PNG_HEAD = 24


@dataclass(frozen=True, eq=False)
class LazyImage:
    """One image that is read when its pixels or its size are asked for.

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
        return self.pixels_with_depth()[0]

    def pixels_with_depth(self) -> tuple[Pixels, int | None]:
        """:meth:`pixels`, and for files of 16 bits per value the largest value, 0 to 65535; None for others.

        Raises:
            DataError: as :meth:`pixels`.
        """
        return (
            (self.source, None) if isinstance(self.source, np.ndarray) else decode_with_depth(self.source, self.where)
        )

    def size(self) -> tuple[int, int]:
        """Height and width of :meth:`pixels`, from the file's header where possible.

        Raises:
            DataError: if it cannot be read; the text names ``where``.
        """
        if isinstance(self.source, np.ndarray):
            return self.source.shape[0], self.source.shape[1]
        # Opening a small PNG takes as long as decoding it; a square has no orientation to read.
        head = b"" if isinstance(self.source, Path) else bytes(self.source[:PNG_HEAD])
        if (size := png_size(head)) and size[0] == size[1] > 0:
            return size
        return opened(self.source, self.where, _upright_size)


#: What is wrong with a file that a table names and nobody has.
NO_FILE = "there is no such file"


class DamagedImagesError(DataError):
    """Images that cannot be read; the text names up to 20 of them and counts all.

    Args:
        problems: by row, one sentence without a full stop; at least one.
        advice: what else can be done than to repair or remove them, as the end of a sentence.
    """

    def __init__(self, problems: Mapping[int, str], advice: str = "") -> None:
        texts = list(problems.values())
        more = len(texts) - _NAMED
        shown = [*texts[:_NAMED], *([f"and {more} more"] if more > 0 else [])]
        many = "\n  ".join([f"{len(texts)} images cannot be read. Repair or remove them{advice}:", *shown])
        super().__init__(many if len(texts) > 1 else f"{texts[0]}. Repair or remove it{advice}.")
        self.problems = dict(problems)


def decode(source: Encoded, where: str = "") -> Pixels:
    """Read one image as uint8 ``[H, W, 3]``, RGB.

    The EXIF orientation is applied, transparency is blended onto white, 16-bit grey is scaled to 8 bits, grey, palette
    and CMYK images are converted. Of an animation the first frame is read. Metadata that cannot be read is ignored.

    Args:
        source: a file's path, or its bytes.
        where: the image's name in errors; by default the path.

    Raises:
        DataError: if the file is missing, damaged, truncated, too large, not an image, or of a depth whose white is
            undefined.
    """
    return decode_with_depth(source, where)[0]


def decode_with_depth(source: Encoded, where: str = "") -> tuple[Pixels, int | None]:
    """As :func:`decode`, and for files of 16 bits per value the largest value, 0 to 65535; None for others."""
    return opened(source, where, _decoded)


def _decoded(image: Image.Image, exif: bytes) -> tuple[Pixels, int | None]:
    image, deep, largest = upright(image, exif)
    if image.has_transparency_data:
        image = on_white(image)
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # Pillow reads 16-bit colours as the upper 8 bits.
    return pixels, int(pixels.max(initial=0)) * 256 + 255 if deep and largest is None else largest


def upright(image: Image.Image, exif: bytes) -> tuple[Image.Image, bool, int | None]:
    """The opened image loaded and turned upright, in its mode, but grey of up to 16 bits as RGB.

    Args:
        image: as :func:`opened` passes it on; its orientation is that of ``exif``, if not empty, else its own.

    Returns:
        The image; whether its file has more than 8 bits per value; and the largest value of such grey, 0 to 65535.

    Raises:
        ValueError: if it is grey of more than 16 bits.
    """
    # Before loading, since it removes them.
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    white = _white(image)
    image.load()  # turns a TIFF itself, and finds what a PNG has behind its pixels
    if (turn := _TURNS.get(_orientation(image, exif))) is not None:
        image = image.transpose(turn)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        pixels, largest = _from_deep_grey(image, white)
        grey = Image.fromarray(pixels)
        if isinstance(transparent := image.info.get("transparency"), int):
            grey.putalpha(Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)))
        return grey, True, largest
    return image, deep, None


def on_white(image: Image.Image) -> Image.Image:
    """An image with transparency, blended onto white."""
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _upright_size(image: Image.Image, exif: bytes) -> tuple[int, int]:
    width, height = image.size
    if image.format == "TIFF":  # some versions of Pillow have turned the size already
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = tags[_TIFF.ImageWidth], tags[_TIFF.ImageLength]
    # Reading the orientation may decode the whole image; a square does not need it.
    if width != height and _orientation(image, exif) in _SIDEWAYS:
        width, height = height, width
    return height, width


def _orientation(image: Image.Image, exif: bytes) -> object:
    """The EXIF orientation, 1 to 8; anything else, or nothing, where the block is damaged."""
    try:
        tags = image.getexif()
        if exif:
            tags.load(exif)
        return tags.get(_TIFF.Orientation)
    except Exception:
        return None


def opened(source: Encoded, where: str, work: Callable[[Image.Image, bytes], T]) -> T:
    """``work(image, b"")`` of the opened image; if that fails, ``work(image, exif)`` of it without its metadata.

    Raises:
        DataError: if both fail; the text names ``where``, by default the source, and says why.
    """
    # Pillow's decoders raise nearly any exception for damaged files (OSError, SyntaxError, struct.error, ...).
    try:
        try:
            with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
                return work(image, b"")
        except (Image.DecompressionBombError, MemoryError):
            raise
        except Exception as error:
            encoded = source.read_bytes() if isinstance(source, Path) else bytes(source)
            bare, exif = without_metadata(encoded)
            if bare == encoded:
                raise
            try:
                with Image.open(io.BytesIO(bare)) as image:
                    return work(image, exif)
            except Exception:
                raise error from None
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "its format is unknown or its header damaged"
        if isinstance(error, Image.DecompressionBombError):
            reason = f"{reason.partition(',')[0]}. Save it with fewer pixels, or cut it into several images"
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{where or _name(source)}: {NO_FILE}") from error
        raise DataError(f"{where or _name(source)}: cannot be read as an image: {reason}") from error


def png_size(head: bytes) -> tuple[int, int] | None:
    """Height and width that the first :data:`PNG_HEAD` bytes of a PNG file state; None for any other bytes."""
    if len(head) < PNG_HEAD:
        return None
    signature, _, chunk, width, height = struct.unpack_from(">8sI4sII", head)
    return (height, width) if (signature, chunk) == (PNG, b"IHDR") else None


def _name(source: Encoded) -> str:
    return str(source) if isinstance(source, Path) else f"{len(source)} bytes"


def _white(image: Image.Image) -> int:
    """The largest value of a 16-bit grey image: TIFF stores 9 to 15 bits unscaled, other formats scale."""
    bits = image.tag_v2.get(_TIFF.BitsPerSample, (16,)) if image.format == "TIFF" else (16,)  # type: ignore[attr-defined]
    return 2 ** min(bits) - 1 if 8 < min(bits) < 16 else 65535


def _from_deep_grey(image: Image.Image, white: int) -> tuple[Pixels, int]:
    """Grey of up to 16 bits to 8-bit RGB, rounded to the nearest level; and its largest value as 16 bits."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > white:
        raise ValueError("white is undefined for grey of more than 16 bits; convert it to 8 or 16 bits")
    grey = ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), int(values.max()) * 65535 // white
