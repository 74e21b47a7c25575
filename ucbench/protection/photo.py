"""A photo as upright pixels with what is kept beside them, read from a file and written to one."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from ucbench.data.images import Pixels, on_white, opened, upright
from ucbench.errors import DataError
from ucbench.protection.manifest import Format
from ucbench.store.files import replacing

#: Most pixels of a photo: its values are in memory about three times.
LARGEST_PHOTO = 10**9

_BASE = ExifTags.Base
#: What is kept of EXIF: what describes the photo. What describes the file (its strips, thumbnail, profile) is not.
_KEPT = (
    *(_BASE.ImageDescription, _BASE.Make, _BASE.Model, _BASE.XResolution, _BASE.YResolution, _BASE.ResolutionUnit),
    *(_BASE.Software, _BASE.DateTime, _BASE.Artist, _BASE.Copyright),
)
#: Makers' notes have offsets that no longer fit, and may hold a position in a form that nobody can check.
_DROPPED = (_BASE.MakerNote, _BASE.ExifInteroperabilityOffset)
_SUFFIX = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
#: Types that ``same`` writes; photos of others become PNG.
_WRITTEN = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WEBP", "TIFF": "TIFF", "AVIF": "AVIF"}
#: Where files have what editing programs write about a photo: of PNG, of TIFF; within Photoshop's blocks, of TIFF.
_XMP_TEXT, _XMP_TAG = "XML:com.adobe.xmp", 700
_IPTC, _IPTC_TAG = 0x0404, 33723
#: Types that change values beyond the perturbation.
LOSSY = ("JPEG", "AVIF")


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        pixels: uint8 ``[H, W, 3]``, RGB.
        alpha: uint8 ``[H, W]``, 0 for transparent, or None.
        profile: the ICC profile, if it is one for RGB.
        exif: the EXIF block that is kept, possibly empty: without thumbnail and makers' notes, with orientation 1, and
            without the position unless that was asked for.
        notes: what reading changed.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None = None
    profile: bytes = b""
    exif: bytes = b""
    notes: tuple[str, ...] = ()


def read_photo(path: Path, *, keep_gps: bool = False) -> Photo:
    """Read a photo of up to one gigapixel.

    Raises:
        DataError: if it is damaged, truncated, too large or not an image.
    """
    with any_size():
        return opened(path, "", lambda image, exif: _photo(image, exif, keep_gps))


def _photo(image: Image.Image, exif: bytes, keep_gps: bool) -> Photo:
    if image.width * image.height > LARGEST_PHOTO:
        raise ValueError("it has more than one gigapixel")
    mode, profile = image.mode, bytes(image.info.get("icc_profile") or b"")
    file = image
    image, deep, _ = upright(image, exif)
    # Afterwards, since it may load the image, and then nobody knows how deep its values were.
    kept, notes = _kept_exif(file, exif, keep_gps)
    if deep:
        notes.append("16 bits per value reduced to 8")
    unprofiled = " without its colour profile, so it may look different" if profile else ""
    if mode in ("CMYK", "LAB", "YCbCr"):
        notes.append(f"{mode} converted to RGB{unprofiled}")
    elif mode in ("1", "L", "LA") or mode.startswith("I"):
        notes.append(f"grey stored as RGB{unprofiled}")
    notes += _lost(file)
    alpha = None
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA"))
        pixels, alpha = np.ascontiguousarray(layers[..., :3]), np.ascontiguousarray(layers[..., 3])
        if (alpha == 255).all():
            alpha = None
    else:
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    is_rgb = profile[16:20] == b"RGB " and mode in ("RGB", "RGBA", "P", "PA")
    return Photo(pixels, alpha, profile if is_rgb else b"", kept, tuple(notes))


def _kept_exif(image: Image.Image, block: bytes, keep_gps: bool) -> tuple[bytes, list[str]]:
    try:
        source = image.getexif()
        if block:
            source.load(block)
        kept = Image.Exif()
        kept.update({tag: source[tag] for tag in _KEPT if tag in source})
        details = {tag: value for tag, value in source.get_ifd(ExifTags.IFD.Exif).items() if tag not in _DROPPED}
        # The size is that of the copy, which may be turned.
        details = {tag: value for tag, value in details.items() if tag not in (0xA002, 0xA003)}
        position = source.get_ifd(ExifTags.IFD.GPSInfo)
        notes = ["position removed"] if position and not keep_gps else []
        if details:
            kept.get_ifd(ExifTags.IFD.Exif).update(details)
        if position and keep_gps:
            kept.get_ifd(ExifTags.IFD.GPSInfo).update(position)
        if not (kept or details or (position and keep_gps)):
            return b"", notes
        kept[_BASE.Orientation] = 1
        return kept.tobytes(), notes
    except Exception:  # Pillow raises nearly any exception for damaged blocks
        return b"", ["metadata that cannot be read removed"]


def _lost(image: Image.Image) -> list[str]:
    """Notes on what a loaded file has beside its pixels, EXIF and profile. Copies keep none of it."""
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    texts: Mapping[str, object] = getattr(image, "text", {})
    blocks: Mapping[int, object] = image.info.get("photoshop") or {}
    kinds = {
        "XMP": "xmp" in image.info or _XMP_TEXT in texts or _XMP_TAG in tags,
        "IPTC": _IPTC in blocks or _IPTC_TAG in tags,
        "comments": bool(image.info.get("comment")) or any(name != _XMP_TEXT for name in texts),
    }
    lost = [kind for kind, has in kinds.items() if has]
    notes = [f"{', '.join(lost)} removed"] if lost else []
    if getattr(image, "n_frames", 1) > 1:  # animations and documents have no copies
        notes.append("further images in the file removed")
    return notes


def opaque(photo: Photo) -> Photo:
    """The photo without transparency, blended onto white."""
    if photo.alpha is None:
        return photo
    image = Image.fromarray(photo.pixels)
    image.putalpha(Image.fromarray(photo.alpha))
    pixels = np.asarray(on_white(image).convert("RGB"))
    return replace(photo, pixels=pixels, alpha=None, notes=(*photo.notes, "transparency blended onto white"))


def written_type(format: Format, source_type: str) -> str:
    """Pillow's name of the type that a photo of ``source_type`` is written as."""
    return _WRITTEN.get(source_type, "PNG") if format == "same" else format.upper()


def suffix_of(format: Format, source: PurePath, source_type: str) -> str:
    """The suffix of the copy: ``same`` keeps it, unless the type cannot be written."""
    if format != "same":
        return _SUFFIX[format]
    return source.suffix if source_type in _WRITTEN else ".png"


def write_photo(photo: Photo, path: Path, type: str, quality: int) -> None:
    """Write a photo as a whole or not at all. PNG, WebP and TIFF keep every value; others are lossy.

    Args:
        type: Pillow's name: PNG, WEBP, TIFF, AVIF, or JPEG for opaque photos.
        quality: of JPEG and AVIF, 1 to 100; colours are not reduced in size.

    Raises:
        DataError: if the photo does not fit the type, such as a WebP file of more than 16,383 pixels.
        StoreError: if the file cannot be written.
    """
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    types: dict[str, dict[str, Any]] = {
        "PNG": {},
        "WEBP": {"lossless": True, "exact": True, "quality": 50, "method": 2},
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
    }
    options = types[type]
    if photo.exif:
        options["exif"] = _first_directory(photo.exif) if type == "TIFF" else photo.exif
    if photo.profile:
        options["icc_profile"] = photo.profile
    with replacing(path) as file:
        memory = io.BytesIO()
        try:
            # Of a full disk, the library behind TIFF says only that encoding failed.
            image.save(memory if type == "TIFF" else file, type, **options)
        except Exception as error:  # encoders raise nearly any; an error of the disk has a number
            if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
                raise
            raise DataError(f"{path}: cannot be written as {type}: {error}") from error
        file.write(memory.getbuffer())


def has_directories(block: bytes) -> bool:
    """Whether an EXIF block has camera details or a position, which lie in directories that TIFF copies lack."""
    exif = Image.Exif()
    exif.load(block)
    return bool(exif.get_ifd(ExifTags.IFD.Exif) or exif.get_ifd(ExifTags.IFD.GPSInfo))


def _first_directory(block: bytes) -> Image.Exif:
    """The tags of an EXIF block that are not in directories of their own, of which Pillow writes none to TIFF files."""
    source, kept = Image.Exif(), Image.Exif()
    source.load(block)
    kept.update({tag: source[tag] for tag in source if tag in (*_KEPT, _BASE.Orientation)})
    return kept


def register_heic() -> bool:
    """Let HEIC files be read, if the extra ``heic`` is installed; whether it is."""
    try:
        importlib.import_module("pi_heif").register_heif_opener()
    except ImportError:
        return False
    return True


@contextmanager
def any_size() -> Iterator[None]:
    """Within the block, Pillow opens images of any size: these are the owner's, not a stranger's."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
