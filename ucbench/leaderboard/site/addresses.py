"""Where pages are: those of a board below its folder, all others below the site's root."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from urllib.parse import urlencode


def cell_page(cell: str) -> str:
    """A board's page of a cell, by its key."""
    return f"cells/{cell}.html"


def cells_page(axes: Mapping[str, str]) -> str:
    """A board's list of cells, filtered to these values in words."""
    return f"cells.html#{urlencode(axes)}"


def method_page(kind: str, name: str) -> str:
    """The page of a poisoner or defense, by its name without parameters."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60]
    if safe != name:
        safe = f"{safe}-{zlib.crc32(name.encode(errors='backslashreplace')):08x}".lstrip("-")
    return f"{kind}s/{safe}.html"
