"""Image sheets of releases, beside the records of a board."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from ucbench.results.records import Record
from ucbench.store.untrusted import read_regular

_PNG = b"\x89PNG\r\n\x1a\n"
#: Where a sheet has two rows of two images, each as original, perturbation and release: left, upper, right, lower.
_PART = (108, 46, 530, 190)


def sheets_of(records: Iterable[Record], folder: Path) -> dict[str, Path]:
    """The image sheet of each cell that has one, by cell; a run's ``--out`` holds them in ``sheets``. No links."""
    files = (path for path in sorted(folder.glob("*.png")) if path.is_file() and not path.is_symlink())
    paths = {path.name: path for path in files if size(path) != (0, 0)}
    sheets = {}
    for record in records:
        name = f"{record.get('components', {}).get('poisoner', {}).get('name')}-{str(record.get('release'))[:12]}.png"
        if name in paths:
            sheets[str(record["cell"])] = paths[name]
    return sheets


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file; zeros for any other file."""
    try:
        head = read_regular(path)[:24]
    except OSError:
        return 0, 0
    return struct.unpack(">II", head[16:24]) if head.startswith(_PNG) and len(head) == 24 else (0, 0)


def thumbnail(sheets: Mapping[str, Path], cells: Iterable[str]) -> tuple[bytes, int, int] | None:
    """A part of the first sheet among these cells that is large enough, as PNG with its width and height."""
    for cell in cells:
        path = sheets.get(cell)
        if path is None or size(path) < (_PART[2], _PART[3]):
            continue
        try:
            with Image.open(io.BytesIO(read_regular(path))) as sheet:
                part = sheet.convert("RGB").crop(_PART)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # a damaged file; its card has no image
        buffer = io.BytesIO()
        part.save(buffer, "PNG", optimize=True)
        return buffer.getvalue(), part.width, part.height
    return None
