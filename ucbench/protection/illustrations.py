"""The images in a report, embedded: photos before and after at true size, and the groups of similar photos."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ucbench.data.images import Pixels, decode
from ucbench.protection.manifest import ProtectedPhoto
from ucbench.protection.sampling import by_pattern, sample

#: Photos shown before and after, and the largest width and height of the part that is shown, in pixels. Losslessly
#: stored, these take most of a report: 12 MB if the photos are noise.
EXAMPLES, CROP = 6, (480, 360)
#: Factor on the change where it is shown alone.
FACTOR = 8
#: Groups shown, thumbnails of each, their side and the quality of their JPEG.
GROUPS, THUMBNAILS, SIDE, QUALITY = 40, 6, 96, 80


@dataclass(frozen=True)
class Comparison:
    """The middle of a photo at true size, as addresses of embedded images.

    Attributes:
        whole: whether the photo is no larger than what is shown.
    """

    photo: ProtectedPhoto
    width: int
    height: int
    whole: bool
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class Group:
    """Photos that share a pattern: their number, and small ones of some originals, by name."""

    pattern: int
    count: int
    thumbnails: tuple[tuple[str, str], ...]


def comparisons(photos: Sequence[ProtectedPhoto], photos_root: Path, out_root: Path) -> list[Comparison]:
    """At most :data:`EXAMPLES` photos, of as many groups as possible.

    Raises:
        DataError: if a file cannot be read.
    """
    found = []
    for photo in sample(photos, EXAMPLES):
        before = _middle(decode(photos_root / photo.source))
        after = _middle(decode(out_root / photo.output))
        height, width = before.shape[:2]
        change = np.clip(128 + FACTOR * (after.astype(np.int16) - before), 0, 255).astype(np.uint8)
        whole = (width, height) == (photo.width, photo.height)
        found.append(Comparison(photo, width, height, whole, *map(_lossless, (before, after, change))))
    return found


def groups(photos: Sequence[ProtectedPhoto], photos_root: Path) -> list[Group]:
    """The largest :data:`GROUPS` groups by number of photos; originals that cannot be read are not shown."""
    found = [
        Group(pattern, len(members), tuple(_thumbnails(sample(members, THUMBNAILS), photos_root)))
        for pattern, members in by_pattern(photos).items()
    ]
    return sorted(found, key=lambda group: (-group.count, group.pattern))[:GROUPS]


def _middle(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = max(0, height - CROP[1]) // 2, max(0, width - CROP[0]) // 2
    return pixels[top : top + CROP[1], left : left + CROP[0]]


def _lossless(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=True, method=4, exact=True)
    return _address("webp", file)


def _thumbnails(photos: Sequence[ProtectedPhoto], root: Path) -> Iterator[tuple[str, str]]:
    for photo in photos:
        try:
            with Image.open(root / photo.source) as image:
                image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG decodes at a fraction of its size, many times faster
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except Exception:  # Pillow raises nearly any; a thumbnail less is no reason to have no report
            continue
        file = io.BytesIO()
        ImageOps.fit(upright, (SIDE, SIDE)).save(file, "JPEG", quality=QUALITY)
        yield photo.source, _address("jpeg", file)


def _address(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
