"""Leaving out what an image file holds beside its pixels: damaged metadata must not cost the image."""

from __future__ import annotations

import struct
from collections.abc import Iterator

#: Signature of PNG files.
PNG = b"\x89PNG\r\n\x1a\n"
#: Chunks that decide pixels (PNG specification, section 11).
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

_JPEG = b"\xff\xd8"
_START_OF_SCAN, _COMMENT, _EXIF = 0xDA, 0xFE, 0xE1
#: Application segments that decide colours: JFIF's and Adobe's.
_COLOUR_SEGMENTS = (0xE0, 0xEE)


def without_metadata(encoded: bytes) -> tuple[bytes, bytes]:
    """A PNG or JPEG file with only what decides its pixels, and its EXIF block, empty if there is none.

    Other formats, and files whose structure is damaged, are returned unchanged, with an empty block.
    """
    try:
        if encoded.startswith(PNG):
            return _bare_png(encoded)
        if encoded.startswith(_JPEG):
            return _bare_jpeg(encoded)
    except (struct.error, IndexError):
        pass
    return encoded, b""


def _bare_png(encoded: bytes) -> tuple[bytes, bytes]:
    chunks = list(_chunks(encoded))
    exif = next((encoded[start + 8 : end - 4] for name, start, end in chunks if name == b"eXIf"), b"")
    bare = b"".join(encoded[start:end] for name, start, end in chunks if name in _PIXEL_CHUNKS)
    return PNG + bare, b"Exif\0\0" + exif if exif else b""


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    start = len(PNG)
    while start < len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, start)
        yield name, start, start + length + 12
        start += length + 12


def _bare_jpeg(encoded: bytes) -> tuple[bytes, bytes]:
    bare, exif, place = [_JPEG], b"", len(_JPEG)
    while encoded[place + 1] != _START_OF_SCAN:
        marker, length = struct.unpack_from(">xBH", encoded, place)
        segment = encoded[place : place + 2 + length]
        if marker == _EXIF and segment[4:10] == b"Exif\0\0":
            exif = exif or segment[4:]
        if marker != _COMMENT and not (0xE0 <= marker <= 0xEF and marker not in _COLOUR_SEGMENTS):
            bare.append(segment)
        place += 2 + length
    return b"".join([*bare, encoded[place:]]), exif
