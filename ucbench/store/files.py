"""Files that appear whole or not at all, and errors that name the file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ucbench.errors import StoreError


def atomic_write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, line ends as they are; see :func:`replacing`."""
    atomic_write_bytes(path, text.encode())


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write ``data``; see :func:`replacing`."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` once the block has ended well.

    Readers see the old content or the new, whatever happens; missing folders above are made.

    Raises:
        StoreError: if the file cannot be written; the old content is kept.
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
    """Turn what the operating system refuses within the block into a StoreError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Cannot read or write {path}: {error.strerror or error}. Check permissions and free space"
            " (UCBENCH_HOME moves the store)."
        ) from error


def sync(file: BinaryIO) -> None:
    """Bring a written file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring renames within a folder to the disk."""
    if os.name == "posix":  # Elsewhere a folder cannot be opened, and renames need no help.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
