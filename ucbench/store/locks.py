"""Locks between processes, also on file systems whose locks do not work."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

from ucbench.store.files import locked, reporting, scratch


def lock_at(path: Path, trials: Path) -> BaseFileLock:
    """The lock that is this file; its folder must exist.

    Where file locks do not work, the file's existence is the lock. One that a killed process left behind can then
    keep others waiting, until the file is removed.

    Args:
        trials: a folder of the same file system, where locks are tried.

    Raises:
        OSError: if nothing can be written in ``trials``.
    """
    return FileLock(path) if locks_work(trials) else SoftFileLock(path.with_suffix(".soft"))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock that is this file, which is created; other processes and threads wait.

    Raises:
        StoreError: if the file cannot be written.
    """
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_at(path, path.parent)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@functools.cache
def locks_work(folder: Path) -> bool:
    """Whether a lock on a file of this folder keeps others out; some network file systems have none.

    Raises:
        OSError: if nothing can be written there.
    """
    with scratch(folder) as inside:
        path = inside / "lock"
        path.touch()
        # The locks of two descriptors exclude each other even within one process.
        with locked(path, shared=False) as first, locked(path, shared=False) as second:
            return first and not second
