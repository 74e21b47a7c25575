"""What lies in a store: how much of which kind, whether it is intact, and what can go."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ucbench.store.files import reporting
from ucbench.store.store import Store

#: Seconds after which what a process left half-made is nobody's any more.
ABANDONED = 24 * 3600.0


@dataclass(frozen=True)
class Entry:
    """An object of a store: its size on disk, and when it was last made or opened (seconds since the epoch)."""

    kind: str
    key: str
    bytes: int
    used: float


def entries(store: Store, kinds: Collection[str] = ()) -> Iterator[Entry]:
    """The objects of a store, by kind and key; of these ``kinds`` only, if any are named."""
    for folder in sorted((store.root / "objects").glob("*/*/*")):
        kind = folder.parent.parent.name
        if not kinds or kind in kinds:
            with suppress(FileNotFoundError):  # Another process may have removed it meanwhile.
                size = sum(file.stat().st_size for file in folder.iterdir())
                yield Entry(kind, folder.name, size, folder.stat().st_mtime)


def verify(store: Store, kinds: Collection[str] = ()) -> Iterator[tuple[Entry, bool]]:
    """Every object, and whether it is as it was written; one that is not is set aside and will be made again.

    Raises:
        StoreError: if the store cannot be read, or a damaged object not be moved.
    """
    for entry in entries(store, kinds):
        yield entry, store.get(entry.kind, entry.key, touch=False) is not None


def unused(found: Iterable[Entry], *, older_than: float | None = None, keep: int | None = None) -> list[Entry]:
    """What can go: objects not used for ``older_than`` seconds, and the longest unused of the others until what is
    left fits in ``keep`` bytes."""
    now = time.time()
    by_use = sorted(found, key=lambda entry: (entry.used, entry.kind, entry.key))
    left = sum(entry.bytes for entry in by_use)
    chosen = []
    for entry in by_use:
        if (older_than is not None and now - entry.used > older_than) or (keep is not None and left > keep):
            chosen.append(entry)
            left -= entry.bytes
    return chosen


def remove(store: Store, chosen: Iterable[Entry]) -> tuple[int, int]:
    """Remove objects, but none that a process is making or waiting for; the number and the bytes removed.

    Raises:
        StoreError: if the store cannot be written.
    """
    count = size = 0
    for entry in chosen:
        path = store.lock_path(entry.kind, entry.key)
        with reporting(path):
            try:
                lock = FileLock(path, blocking=False).acquire()
            except Timeout:
                continue
            with lock:
                store.discard(entry.kind, entry.key)
        count, size = count + 1, size + entry.bytes
    return count, size


def sweep(store: Store) -> int:
    """Remove what nobody will come back for: damaged objects that were set aside, drafts that a killed process left,
    checkpoints untouched for a day; the bytes removed."""
    left = [*_old(store.root / "quarantine", 0.0), *_old(store.root / "tmp", ABANDONED)]
    left += _old(store.root / "checkpoints", ABANDONED)
    size = 0
    for path in left:
        size += sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
        grave = path.with_name(f".{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            path.rename(grave)
        if grave.is_dir():
            shutil.rmtree(grave, ignore_errors=True)
        else:
            grave.unlink(missing_ok=True)
    return size


def _old(folder: Path, age: float) -> list[Path]:
    now = time.time()
    return [path for path in sorted(folder.glob("*")) if now - path.stat().st_mtime >= age]
