"""An image sheet of a release: original, amplified perturbation and release of a few images per group."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ucbench.crafting.release import Release, materialise
from ucbench.data.imageset import ImageSet
from ucbench.store.files import atomic_write_bytes

#: Groups (rows), images per group, and the smallest side of a drawn image in pixels.
ROWS, EXAMPLES, SIDE = 10, 4, 64
_GAP, _MARGIN, _INK, _PAPER = 4, 110, (32, 32, 32), (255, 255, 255)


def image_sheet(source: ImageSet, release: Release, title: str) -> Image.Image:
    """Draw one row per group of images that share a perturbation, or per class if every image has its own.

    The perturbation is drawn as grey plus the change, scaled so that the largest drawn change is white or black.
    """
    grouped = len(release.changes) < len(source)
    groups = np.asarray(release.index) if grouped else source.known_labels
    examples = _examples(groups)
    indices = [index for _, members in examples for index in members]
    before = source.images[indices]
    after = materialise(before, release.changes, np.asarray(release.index)[indices])
    change = after.astype(np.float32) - before
    amplification = 127.0 / max(1.0, float(np.abs(change).max()))
    amplified = np.clip(127.5 + amplification * change, 0, 255).astype(np.uint8)

    scale = max(1, -(-SIDE // max(source.size)))
    height, width = (side * scale for side in source.size)
    triple = 3 * width + 2 * _GAP
    columns = max(len(members) for _, members in examples)
    sheet = Image.new(
        "RGB",
        (_MARGIN + columns * (triple + 4 * _GAP), 48 + len(examples) * (height + 3 * _GAP)),
        _PAPER,
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    draw.text((8, 6), title, _INK, font)
    draw.text((8, 26), f"each: original, perturbation x{amplification:.1f}, release", _INK, font)
    drawn = 0
    for row, (group, members) in enumerate(examples):
        top = 48 + row * (height + 3 * _GAP)
        name = f"{'group' if grouped else 'class'} {group} ({int((groups == group).sum())})"
        draw.text((8, top + height // 2 - 8), name, _INK, font)
        for column in range(len(members)):
            left = _MARGIN + column * (triple + 4 * _GAP)
            for place, pixels in enumerate((before[drawn], amplified[drawn], after[drawn])):
                image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((width, height), Image.Resampling.NEAREST)
                sheet.paste(image, (left + place * (width + _GAP), top))
            drawn += 1
    return sheet


def _examples(groups: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """The first few members of the first few groups."""
    return [(int(group), np.flatnonzero(groups == group)[:EXAMPLES].tolist()) for group in np.unique(groups)[:ROWS]]


def write_sheet(path: Path, source: ImageSet, release: Release, title: str) -> Path:
    """Write the sheet as PNG, completely or not at all."""
    buffer = io.BytesIO()
    image_sheet(source, release, title).save(buffer, "PNG")
    atomic_write_bytes(path, buffer.getvalue())
    return path
