"""Atomic writes, locks, reading files of unknown origin, and errors that name the file."""

from __future__ import annotations

import errno
import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from ucbench.errors import StoreError

#: Most bytes of a file that is read as text, and levels that JSON may nest. Records have some kilobytes and six levels.
LARGEST, DEEPEST = 16 * 2**20, 32


def atomic_write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, line ends unchanged; see :func:`replacing`."""
    atomic_write_bytes(path, text.encode())


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write ``data``; see :func:`replacing`."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that replaces ``path`` when the block ends without an error.

    Readers see either the old or the new content, even after a crash. Missing parent folders are created.

    Raises:
        StoreError: if the file cannot be written; the old content stays.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                yield file
                sync(file)
            draft.replace(path)
            sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn an OSError within the block into a StoreError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Cannot read or write {path}: {error.strerror or error}. Check permissions and free space"
            " (UCBENCH_HOME moves the store)."
        ) from error


def sync(file: BinaryIO) -> None:
    """Flush a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush renames within a folder to the disk."""
    if os.name == "posix":  # Other systems cannot open a folder, and need no flush.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file ``path``, which is created; other processes and threads wait.

    Raises:
        StoreError: if the file cannot be written.
    """
    lock = FileLock(path)
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def read_regular(path: Path, largest: int = LARGEST) -> bytes:
    """The content of a regular file; others, such as pipes and devices, may never end.

    Raises:
        OSError: if it cannot be read, is not a regular file, or has more than ``largest`` bytes.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(largest + 1)
    finally:
        os.close(descriptor)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest:,} bytes")
    return data


def read_json(path: Path) -> Any:
    """The JSON value of a regular file in UTF-8.

    Raises:
        OSError: as :func:`read_regular`.
        ValueError: if it is not JSON, or as :func:`check_json`.
    """
    try:
        value = json.loads(read_regular(path).decode())
    except RecursionError:
        raise ValueError(f"it nests deeper than {DEEPEST} levels") from None
    check_json(value)
    return value


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
