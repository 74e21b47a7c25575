"""Atomic writes, the drafts of writers that died, hashes, and errors that name the file."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ucbench.errors import StoreError
from ucbench.store.untrusted import as_utf8

#: Seconds after which a draft or checkpoint counts as abandoned, even if its writer cannot be asked.
ABANDONED = 24 * 3600.0
#: Part of the names of drafts.
_HOST = re.sub(r"[^\w-]", "", platform.node(), flags=re.ASCII)[:32] or "host"
_DRAFT = re.compile(r"\..+\.([\w-]+)\.[0-9a-f]{32}\.tmp", re.ASCII)


def atomic_write_text(path: Path, text: str, option: str = "--out") -> None:
    """Write ``text`` as by :func:`as_utf8`, line ends unchanged; see :func:`replacing`."""
    atomic_write_bytes(path, as_utf8(text), option)


def atomic_write_bytes(path: Path, data: bytes, option: str = "--out") -> None:
    """Write ``data``; see :func:`replacing`."""
    with replacing(path, option) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, option: str = "--out") -> Iterator[BinaryIO]:
    """Open a new file that replaces ``path`` when the block ends without an error.

    Readers see either the old or the new content, even after a crash. Missing parent folders are created.

    Args:
        option: see :func:`reporting`.

    Raises:
        StoreError: if the file cannot be written; the old content stays.
    """
    draft = path.with_name(draft_name(path.name))
    with reporting(path, option):
        make_folder(path.parent)
        with locked(path.parent):
            try:
                with draft.open("xb") as file:
                    yield file
                    sync(file)
                draft.replace(path)
                sync_folder(path.parent)
            finally:
                with suppress(OSError):  # the error that brought us here says more
                    draft.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing; ``Path.mkdir`` calls itself for each of them.

    Raises:
        OSError: if one cannot be made.
    """
    missing = itertools.takewhile(lambda path: not os.path.exists(path), folder.parents)
    for path in (*reversed(list(missing)), folder):
        path.mkdir(exist_ok=True)


def draft_name(name: str) -> str:
    """A new name for a draft of ``name``, made on this machine."""
    return f".{name[:24]}.{_HOST}.{uuid.uuid4().hex}.tmp"


def sweep_drafts(folder: Path, age: float = ABANDONED) -> None:
    """Remove the drafts that killed writers left in a folder; a no-op where a writer is at work or nothing can be done.

    Drafts of other machines, whose locks may be unknown here, go when they are ``age`` seconds old.
    """
    with suppress(OSError), locked(folder, shared=False) as alone:
        for path in sorted(folder.iterdir()) if alone else ():
            match = _DRAFT.fullmatch(path.name)
            if match and (match[1] == _HOST or time.time() - path.stat().st_mtime >= age):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file or folder as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def locked(path: Path, *, shared: bool = True) -> Iterator[bool]:
    """Lock a file or folder within the block.

    Args:
        shared: beside others that share it, which waits for one that does not; else alone, which never waits.

    Yields:
        Whether it is locked; never on a file system without locks.

    Raises:
        OSError: if the path cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except OSError:  # somebody else has it, or there are no locks here
            held = False
        yield held  # not in the handler, whose error would be the context of those in the block
    finally:
        os.close(descriptor)


def is_occupied(path: Path) -> bool:
    """Whether there is anything at the path but an empty folder, so that writing there would replace it."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def existing_part(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder within the folder, or within the nearest one above that exists; removed after the block."""
    existing = existing_part(folder)
    path = existing / draft_name("trial")
    with locked(existing):
        path.mkdir()
        try:
            yield path
        finally:
            remove(path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal, which :func:`ucbench.store.keys.sha256_of` caches.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reporting(path: Path, option: str = "--out") -> Iterator[None]:
    """Turn an OSError within the block into a StoreError that names ``path``.

    Args:
        option: the option, or variable, that names another place.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Cannot read or write {path}: {error.strerror or error}. Check permissions and free space; {option} names"
            " another place."
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
