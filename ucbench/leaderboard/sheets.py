"""Image sheets of releases, beside the records of a board."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ucbench.data.images import PNG_HEAD, png_size
from ucbench.results.records import Record
from ucbench.results.sheets import layout_of, sheet_name
from ucbench.store.untrusted import read_head, read_regular

#: Space around the images of a thumbnail, in pixels.
_EDGE = 2


class SheetFile(NamedTuple):
    """The file of an image sheet, with its width and height."""

    path: Path
    width: int
    height: int


def sheets_of(records: Iterable[Record], folder: Path) -> dict[str, SheetFile]:
    """The image sheet of each cell that has one, by cell; a run's ``--out`` holds them in ``sheets``. No links."""
    names = {record["cell"]: sheet_name(record) for record in records}
    wanted = set(names.values())
    files = (path for path in sorted(folder.glob("*.png")) if path.is_file() and not path.is_symlink())
    # Cells share sheets, which are large: the head of each is read once, for all of them.
    sizes = {path.name: SheetFile(path, *_size(path)) for path in files if path.name in wanted}
    sheets = {cell: sizes[name] for cell, name in names.items() if name in sizes}
    return {cell: sheet for cell, sheet in sheets.items() if sheet[1:] != (0, 0)}


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file; zeros for any other file."""
    try:
        height, width = png_size(read_head(path, PNG_HEAD)) or (0, 0)
    except OSError:
        return 0, 0
    return width, height


def thumbnail(sheets: Mapping[str, SheetFile], records: Iterable[Record]) -> tuple[bytes, int, int] | None:
    """The first images of the first sheet among these records that is large enough, as PNG with width and height."""
    for record in records:
        sheet, image = sheets.get(record["cell"]), record["data"].get("size")
        if sheet is None or image is None:
            continue
        part_of = _first_images(image)
        if sheet.width < part_of[2] or sheet.height < part_of[3]:
            continue
        try:
            with Image.open(io.BytesIO(read_regular(sheet.path))) as opened:
                part = opened.convert("RGB").crop(part_of)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # a damaged file; its card has no image
        buffer = io.BytesIO()
        part.save(buffer, "PNG", optimize=True)
        return buffer.getvalue(), part.width, part.height
    return None


def _first_images(image: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, upper, right and lower of two triples in two rows, for images of this height and width."""
    layout = layout_of(image, rows=2, columns=2, strip=1)
    (left, upper), (right, lower) = layout.triple(0, 0, 0), layout.triple(1, layout.columns - 1, 2)
    height, width = layout.size
    return left - _EDGE, upper - _EDGE, right + width + _EDGE, lower + height + _EDGE
