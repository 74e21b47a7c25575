"""Atomic writes, and errors that name the file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ucbench.errors import StoreError


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
