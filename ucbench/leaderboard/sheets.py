"""Image sheets of releases, beside the records of a board."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ucbench.data.images import PNG_HEAD, png_size
from ucbench.results.records import Record
from ucbench.store.untrusted import read_head, read_regular

#: Width of an image as original, perturbation and release, with the space behind it; height of two rows of images.
_TRIPLE, _ROWS = 216, 144
#: Where images begin in sheets, today's and those of earlier versions: left, upper.
_STARTS = ((150, 76), (110, 48))


class SheetFile(NamedTuple):
    """The file of an image sheet, with its width and height."""

    path: Path
    width: int
    height: int


def sheets_of(records: Iterable[Record], folder: Path) -> dict[str, SheetFile]:
    """The image sheet of each cell that has one, by cell; a run's ``--out`` holds them in ``sheets``. No links."""
    names = {
        record["cell"]: f"{record['components'].get('poisoner', {}).get('name')}-{str(record['release'])[:12]}.png"
        for record in records
    }
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


def thumbnail(sheets: Mapping[str, SheetFile], cells: Iterable[str]) -> tuple[bytes, int, int] | None:
    """A part of the first sheet among these cells that is large enough, as PNG with its width and height."""
    for cell in cells:
        if cell not in sheets:
            continue
        path, width, height = sheets[cell]
        left, upper = next((start for start in _STARTS if (width - start[0]) % _TRIPLE == 0), _STARTS[0])
        part_of = (left - 2, upper - 2, left + 2 * _TRIPLE - 14, upper + _ROWS + 2)
        if width < part_of[2] or height < part_of[3]:
            continue
        try:
            with Image.open(io.BytesIO(read_regular(path))) as sheet:
                part = sheet.convert("RGB").crop(part_of)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # a damaged file; its card has no image
        buffer = io.BytesIO()
        part.save(buffer, "PNG", optimize=True)
        return buffer.getvalue(), part.width, part.height
    return None
