"""Places on somebody's machine in texts: what a path is, and what of it may be published."""

from __future__ import annotations

import re
from collections.abc import Callable

#: An absolute path of at least two parts, such as in a traceback; not the part of an address or of a fraction.
_ABSOLUTE = re.compile(r"(?<![\w/\\.])(?:~|[A-Za-z]:)?[/\\](?![/\\])(?:[^/\\\s:,;\"'<>()]+[/\\])+[^/\\\s:,;\"'<>()]*")


def is_path(text: str) -> bool:
    """Whether a text begins as a path does: with a slash, a drive, ``~/`` or ``./``."""
    return re.match(r"(~|\.{1,2}|[A-Za-z]:)?[/\\].", text) is not None


def last_part(path: str) -> str:
    """The last part of a path: ``photos`` of ``/data/photos/``."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "folder"


def absolute_paths(text: str) -> list[str]:
    """The absolute paths in a text, in order."""
    return _ABSOLUTE.findall(text)


def without_folders(text: str, short: Callable[[str], str] = last_part) -> str:
    """The text with ``short`` of each absolute path in place of the path."""
    return _ABSOLUTE.sub(lambda match: short(match[0]), text) if "/" in text or "\\" in text else text
