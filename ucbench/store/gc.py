"""Listing, verifying and removing the objects of a store."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from ucbench.errors import UsageError, did_you_mean
from ucbench.store import files
from ucbench.store.files import ABANDONED, locked, reporting
from ucbench.store.keys import KINDS
from ucbench.store.store import DRAFTS, LOCKS, Store


@dataclass(frozen=True)
class Entry:
    """An object of a store: its size on disk, and when it was last used (seconds since the epoch)."""

    kind: str
    key: str
    bytes: int
    used: float


def entries(store: Store, kinds: Collection[str] = ()) -> Iterator[Entry]:
    """The objects of a store, sorted by kind and key; with ``kinds``, only of those. Stray files are none.

    Raises:
        UsageError: for a kind that is neither one of :data:`ucbench.store.keys.KINDS` nor in the store.
    """
    known = sorted({*KINDS, *(folder.name for folder in (store.root / "objects").glob("*") if folder.is_dir())})
    for kind in kinds:
        if kind not in known:
            raise UsageError(f"Unknown kind of object {kind!r}.{did_you_mean(kind, known)} Kinds: {', '.join(known)}.")
    for folder in sorted((store.root / "objects").glob("*/*/*")):
        kind = folder.parent.parent.name
        if (kinds and kind not in kinds) or not folder.is_dir():
            continue
        try:
            entry = Entry(kind, folder.name, _size(folder.iterdir()), folder.stat().st_mtime)
        except OSError:  # Another process may remove it at the same time.
            continue
        yield entry


def verify(store: Store, kinds: Collection[str] = ()) -> Iterator[tuple[Entry, bool]]:
    """Every object, and whether it is intact; a damaged one is moved to ``quarantine/`` and will be made again.

    Raises:
        StoreError: if the store cannot be read, or a damaged object cannot be moved.
    """
    for entry in entries(store, kinds):
        yield entry, store.get(entry.kind, entry.key, touch=False) is not None


def unused(objects: Iterable[Entry], *, older_than: float | None = None, keep: int | None = None) -> list[Entry]:
    """The objects to remove: those not used for ``older_than`` seconds, then the least recently used until the others
    fit in ``keep`` bytes."""
    now = time.time()
    by_use = sorted(objects, key=lambda entry: (entry.used, entry.kind, entry.key))
    size = sum(entry.bytes for entry in by_use)
    removable = []
    for entry in by_use:
        if (older_than is not None and now - entry.used > older_than) or (keep is not None and size > keep):
            removable.append(entry)
            size -= entry.bytes
    return removable


def remove(store: Store, objects: Iterable[Entry]) -> tuple[int, int]:
    """Remove objects, except those that a process is making; return the number and the bytes removed.

    Raises:
        StoreError: if the store cannot be written.
    """
    count = size = 0
    for entry in objects:
        with reporting(store.root, "UCBENCH_HOME"):
            lock = store.lock(entry.kind, entry.key)
            with locked(store.root / LOCKS):
                try:
                    held = lock.acquire(blocking=False)
                except Timeout:
                    continue
                with held:
                    store.discard(entry.kind, entry.key)
        count, size = count + 1, size + entry.bytes
    return count, size


def sweep(store: Store) -> int:
    """Remove quarantined objects, drafts and checkpoints untouched for a day, and lock files while nobody holds one.

    Returns:
        The bytes removed.
    """
    paths = [*_old(store.root / "quarantine", 0.0), *_old(store.root / DRAFTS, ABANDONED)]
    paths += _old(store.root / "checkpoints", ABANDONED)
    size = 0
    for path in paths:
        trash = path.with_name(f".{uuid.uuid4().hex}")
        try:
            freed = _size(path.rglob("*") if path.is_dir() else [path])
            path.rename(trash)
        except OSError:  # Another process may remove it at the same time.
            continue
        size += freed
        files.remove(trash)
    # Alone, since a process that waits would get the lock of a removed file beside another with that of a new one.
    with suppress(OSError), locked(store.root / LOCKS, shared=False) as alone:
        for path in sorted((store.root / LOCKS).iterdir()) if alone else ():
            if path.suffix in (".lock", ".holder"):
                files.remove(path)
    return size


def _size(paths: Iterable[Path]) -> int:
    """The bytes of those paths that are files."""
    size = 0
    for path in paths:
        with suppress(OSError):  # it vanished, or is a link to nothing
            if path.is_file():
                size += path.stat().st_size
    return size


def _old(folder: Path, age: float) -> list[Path]:
    """What has not changed for ``age`` seconds."""
    now, old = time.time(), []
    for path in sorted(folder.glob("*")):
        with suppress(OSError):  # as above
            if now - path.stat().st_mtime >= age:
                old.append(path)
    return old
