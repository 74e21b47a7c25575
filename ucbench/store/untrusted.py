"""Reading files of unknown origin: bounded, regular, and text that UTF-8 can hold."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

#: Most bytes of a file that is read as text, and levels that JSON may nest. Records have some kilobytes and six levels.
LARGEST_TEXT, DEEPEST = 16 * 2**20, 32


def read_regular(path: Path, largest: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file; others, such as pipes and devices, may never end.

    Raises:
        OSError: if it cannot be read, is not a regular file, or has more than ``largest`` bytes.
    """
    with _regular(path, largest) as file:
        data = file.read(largest + 1)
    if len(data) > largest:  # it grew
        raise _too_large(largest)
    return data


def read_head(path: Path, count: int) -> bytes:
    """The first ``count`` bytes of a regular file, or all of a shorter one; raises as :func:`read_regular`."""
    with _regular(path, LARGEST_TEXT) as file:
        return file.read(count)


@contextmanager
def _regular(path: Path, largest: int) -> Iterator[BinaryIO]:
    """A regular file of at most so many bytes, open for reading."""
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > largest:
            raise _too_large(largest)
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _too_large(largest: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {largest:,} bytes")


def read_json(path: Path, largest: int = LARGEST_TEXT) -> Any:
    """The JSON value of a regular file in UTF-8.

    Raises:
        OSError: as :func:`read_regular`.
        ValueError: if it is not JSON, names an entry twice, or as :func:`check_json`.
    """
    try:
        value = json.loads(read_regular(path, largest).decode(), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError(f"it nests deeper than {DEEPEST} levels") from None
    check_json(value)
    return value


def _once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of an entry that is there twice, readers disagree on which counts."""
    # Thousands of records have most of their names and texts in common, which would be half of their memory.
    named = {sys.intern(name): sys.intern(value) if type(value) is str else value for name, value in entries}
    if len(named) < len(entries):
        names = [name for name, _ in entries]
        raise ValueError(f"it has two entries {next(name for name in names if names.count(name) > 1)!r}")
    return named


def check_json(value: Any) -> None:
    """Raise ValueError if a JSON value nests deeper than :data:`DEEPEST`, or has text that UTF-8 cannot hold."""
    level, depth = [value], 0
    while level:
        if (depth := depth + 1) > DEEPEST:
            raise ValueError(f"it nests deeper than {DEEPEST} levels")
        maps = [one for one in level if isinstance(one, dict)]
        "".join([*(name for one in maps for name in one), *(one for one in level if isinstance(one, str))]).encode()
        lists = [*(one.values() for one in maps), *(one for one in level if isinstance(one, list))]
        level = [part for one in lists for part in one]


def as_utf8(text: str) -> bytes:
    """The text as UTF-8; bytes of file names that are not text become escapes, such as ``\\udcff``."""
    return text.encode(errors="backslashreplace")


def only_text(value: Any) -> Any:
    """A JSON value whose texts have the escapes of :func:`as_utf8`."""
    if isinstance(value, str):
        return as_utf8(value).decode()
    if isinstance(value, Mapping):
        return {only_text(name): only_text(entry) for name, entry in value.items()}
    return [only_text(entry) for entry in value] if isinstance(value, list | tuple) else value
