"""An image sheet of a release: original, amplified perturbation and release, enlarged, and a strip at true size."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ucbench.crafting.references import sham_noise
from ucbench.crafting.release import Release, materialise
from ucbench.data.budget import Budget
from ucbench.data.distortion import measure
from ucbench.data.imageset import ImageSet, UInt8Images
from ucbench.results.sheets import LINE, MARGIN, SheetLayout, layout_of
from ucbench.store.files import atomic_write_bytes

#: Groups (rows), and most images per group.
ROWS, EXAMPLES = 10, 4
_INK, _QUIET, _PAPER = (24, 24, 24), (90, 90, 90), (255, 255, 255)
_FONT, _BOLD = ImageFont.load_default(14), ImageFont.load_default(17)


def image_sheet(source: ImageSet, release: Release, title: str) -> Image.Image:
    """Draw one row per group of images that share a perturbation, or per class; a row of sham noise; a strip at 1:1.

    The perturbation is drawn as grey plus the change, scaled so that the largest drawn change of the release is white
    or black; the head states the factor, which holds for sham noise too. Sham noise is drawn anew, on the first images,
    and left out of unbounded budgets. The strip shows images of all rows above the same ones released.
    """
    rows = _rows(source, release)
    budget = Budget(**release.meta["budget"])
    indices = [index for _, members in rows for index in members]
    before = source.images[indices]
    after = materialise(before, release.changes, np.asarray(release.index)[indices])
    sham = None if budget.epsilon is None else _sham(before, budget)
    names = [name for name, _ in rows] + ([] if sham is None else [_sham_name(before, sham)])
    layout = layout_of(source.size, len(names), max(len(members) for _, members in rows), len(indices))
    factor = 127.0 / max(1.0, float(np.abs(after.astype(np.int16) - before).max()))

    sheet = Image.new("RGB", layout.extent, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 6), title, _INK, _BOLD)
    draw.text((8, 30), f"{budget_text(budget)}, {_measured(release.meta)}", _INK, _FONT)
    draw.text((8, 50), f"Each: original, perturbation x{factor:.3g}, release.", _QUIET, _FONT)
    drawn = 0
    for row, (name, members) in enumerate(rows):
        _name(draw, layout, row, name)
        for column in range(min(len(members), layout.columns)):
            _triple(sheet, layout, row, column, before[drawn + column], after[drawn + column], factor)
        drawn += len(members)
    if sham is not None:
        _name(draw, layout, len(rows), names[-1])
        for column in range(min(len(before), layout.columns)):
            _triple(sheet, layout, len(rows), column, before[column], sham[column], factor)
    # The first image of each row, then the second, so that a short strip has all rows.
    order = [place for _, place in sorted(_places(rows))][: layout.strip]
    for line, (name, pixels) in enumerate((("true size: original", before), ("release", after))):
        top = layout.true_size(line, 0)[1]
        draw.text((8, top + layout.true[0] // 2 - 8), name, _INK, _FONT)
        for column, place in enumerate(order):
            sheet.paste(_as_image(pixels[place]), layout.true_size(line, column))
    return sheet


def budget_text(budget: Budget) -> str:
    """``8/255 (linf)``, ``1 (l2)``, ``1 pixels (l0)`` or ``unbounded``, after the word budget."""
    if budget.epsilon is None:
        return "Unbounded"
    units = {"linf": "/255", "l2": "", "l0": " pixel" if budget.epsilon == 1 else " pixels"}
    return f"Budget {budget.epsilon:g}{units[budget.norm]} ({budget.norm})"


def _measured(meta: Mapping[str, Any]) -> str:
    measured = meta["measured"]
    return f"PSNR {measured['psnr']:.1f} dB, SSIM {measured['ssim']:.3f} (means over all images)."


def _rows(source: ImageSet, release: Release) -> list[tuple[str, list[int]]]:
    """Names and first members of the first groups: classes, unless groups across classes share perturbations."""
    labels, index = source.known_labels, np.asarray(release.index)
    across = release.is_shared and any(len(np.unique(labels[index == one])) > 1 for one in np.unique(index)[:ROWS])
    groups = index if across else labels
    return [
        (_row_name(source, groups == group, int(group), across), _first(groups == group))
        for group in np.unique(groups)[:ROWS]
    ]


def _first(members: NDArray[np.bool_]) -> list[int]:
    indices: list[int] = np.flatnonzero(members)[:EXAMPLES].tolist()
    return indices


def _row_name(source: ImageSet, members: NDArray[np.bool_], group: int, is_group: bool) -> str:
    count = f"{int(members.sum())} images"
    return f"group {group}, {count}" if is_group else f"{source.classes[group]}, {count}"


def _sham(before: UInt8Images, budget: Budget) -> UInt8Images:
    changes, _ = budget.project(sham_noise(before.shape, budget, np.random.default_rng(0)))
    return materialise(before, changes, np.arange(len(before), dtype=np.int64))


def _sham_name(before: UInt8Images, sham: UInt8Images) -> str:
    return f"sham noise, {measure(before, sham)['psnr']:.1f} dB"


def _places(rows: Sequence[tuple[str, Sequence[int]]]) -> list[tuple[tuple[int, int], int]]:
    """Every image's number in its row and its row, and its place among all."""
    order = [(column, row) for row, (_, members) in enumerate(rows) for column in range(len(members))]
    return [(key, place) for place, key in enumerate(order)]


def _name(draw: ImageDraw.ImageDraw, layout: SheetLayout, row: int, name: str) -> None:
    """The name of a row, shortened to the margin, with what follows its last comma below."""
    top = layout.triple(row, 0, 0)[1] + layout.size[0] // 2 - LINE
    first, _, second = name.rpartition(", ")
    while len(first) > 1 and _FONT.getlength(first) > MARGIN - 16:
        first = f"{first[:-2]}…"
    draw.text((8, top), first, _INK, _FONT)
    draw.text((8, top + LINE), second, _QUIET, _FONT)


def _triple(
    sheet: Image.Image,
    layout: SheetLayout,
    row: int,
    column: int,
    before: UInt8Images,
    after: UInt8Images,
    factor: float,
) -> None:
    change = after.astype(np.float32) - before
    amplified = np.clip(127.5 + factor * change, 0, 255).astype(np.uint8)
    for place, pixels in enumerate((before, amplified, after)):
        image = _as_image(pixels).resize(layout.size[::-1], Image.Resampling.NEAREST)
        sheet.paste(image, layout.triple(row, column, place))


def _as_image(pixels: UInt8Images) -> Image.Image:
    return Image.fromarray(pixels.transpose(1, 2, 0))


def write_sheet(path: Path, source: ImageSet, release: Release, title: str) -> Path:
    """Write the sheet as PNG, completely or not at all."""
    buffer = io.BytesIO()
    image_sheet(source, release, title).save(buffer, "PNG", optimize=True)
    atomic_write_bytes(path, buffer.getvalue())
    return path
