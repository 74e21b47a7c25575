"""Locks between processes, also on file systems whose locks do not work."""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

from ucbench.store.files import locked, reporting, scratch
from ucbench.store.untrusted import read_regular


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


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Within the block, the file says which process holds a lock."""
    with suppress(OSError):  # it only informs
        path.write_text(f"{os.getpid()} {time.time():.0f} {platform.node()}", encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def holder_text(path: Path) -> str:
    """The process that :func:`holding` names in this file: ``process 17 on HOST (since 14:05)``."""
    try:
        pid, since, host = read_regular(path).decode().split(" ", 2)
        clock = time.strftime("%H:%M", time.localtime(int(since)))
        return f"process {int(pid)} on {host or 'this machine'} (since {clock})"
    except (OSError, ValueError, OverflowError):
        return "another process"


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
