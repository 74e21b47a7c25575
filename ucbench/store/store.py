"""The store: objects that are computed once, stored under a key of all their inputs, and verified when opened.

One rename makes an object appear as a whole. Damaged objects are moved to ``quarantine/`` and made again.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout
from platformdirs import user_cache_dir

from ucbench.errors import StoreError
from ucbench.store.checkpoint import CHECKPOINT_EVERY, Checkpoint
from ucbench.store.files import draft_name, locked, remove, reporting, sweep_drafts, sync_folder
from ucbench.store.keys import canonical
from ucbench.store.locks import holder_text, holding, lock_at
from ucbench.store.objects import SCHEMA, Arrays, DamagedError, StoredObject, check_arrays, open_object, write_object

logger = logging.getLogger(__name__)

#: The folder of drafts, in which every run removes what an earlier one left.
DRAFTS = "tmp"
#: The folder of lock files; who holds one shares a lock of the folder, without which they are removed.
LOCKS = "locks"
#: Seconds after which waiting for another process is worth a word.
_PATIENCE = 1.0


class Store:
    """Objects in one folder; several processes may use it at the same time.

    Args:
        root: the folder, created when first written to. Default: the environment variable ``UCBENCH_HOME``, in which
            ``~`` is the home folder, else the platform's cache folder for ucbench.
        waiting: entered, with a sentence that says for whom, while another process makes an object that this one
            needs.
    """

    def __init__(
        self, root: Path | None = None, waiting: Callable[[str], AbstractContextManager[None]] | None = None
    ) -> None:
        self.root = root or Path(os.environ.get("UCBENCH_HOME") or user_cache_dir("ucbench")).expanduser()
        self._waiting = waiting or (lambda text: nullcontext())

    def get(self, kind: str, key: str, *, touch: bool = True) -> StoredObject | None:
        """Open an object after comparing every file with its hash; ``touch`` updates its time of last use.

        Returns:
            The object; None if it does not exist, or is damaged and therefore moved to ``quarantine/``.

        Raises:
            StoreError: if the store cannot be read.
        """
        path = self._path(kind, key)
        with reporting(path, "UCBENCH_HOME"):
            if not path.exists():
                return None
            try:
                stored = open_object(kind, key, path)
            except DamagedError as damage:
                self._set_aside(kind, key, path, damage)
                return None
            if touch:
                with suppress(OSError):  # A store may be read-only.
                    os.utime(path)
            return stored

    def contains(self, kind: str, key: str) -> bool:
        """Whether there is such an object, which may be damaged."""
        return self._path(kind, key).exists()

    def put(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any]) -> StoredObject:
        """Store an object and remove its checkpoint; an object that already exists is returned instead.

        Raises:
            ContractError: if an array's name is not a plain file name, an array holds Python objects, or ``meta`` is
                not JSON.
            StoreError: if the store cannot be written; nothing half-written stays.
        """
        check_arrays(arrays)
        content = {"schema": SCHEMA, "kind": kind, "key": key, "meta": json.loads(canonical(meta))}
        path = self._path(kind, key)
        with reporting(path, "UCBENCH_HOME"):
            if self.get(kind, key) is None:
                with self._draft() as draft:
                    write_object(draft, content, arrays)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _rename_unless_taken(draft, path)
            self._checkpoint_path(kind, key).unlink(missing_ok=True)
        stored = self.get(kind, key)
        if stored is None:
            raise StoreError(f"{path} is damaged right after writing. Check the disk, or set UCBENCH_HOME to another.")
        return stored

    def get_or_make(
        self, kind: str, key: str, make: Callable[[], tuple[Arrays, Mapping[str, Any]]]
    ) -> tuple[StoredObject, bool]:
        """Open an object, or make it. Of several processes that call this together, one makes it and the others wait.

        Returns:
            The object, and whether this call made it.

        Raises:
            StoreError, ContractError: as :meth:`get` and :meth:`put`; errors of ``make`` propagate.
        """
        stored = self.get(kind, key)
        if stored is not None:
            return stored, False
        with self.making(kind, key):
            stored = self.get(kind, key)
            if stored is not None:
                return stored, False
            arrays, meta = make()
            return self.put(kind, key, arrays, meta), True

    def discard(self, kind: str, key: str) -> None:
        """Remove an object, so that it is made again when next requested; a no-op if it does not exist.

        Raises:
            StoreError: if the store cannot be written.
        """
        path = self._path(kind, key)
        with reporting(path, "UCBENCH_HOME"), self._draft() as trash, suppress(FileNotFoundError):
            path.rename(trash)  # One rename: no process sees half an object.

    def checkpoint(self, kind: str, key: str, every: float = CHECKPOINT_EVERY) -> Checkpoint:
        """The checkpoint of an unfinished object, written at most every ``every`` seconds; :meth:`put` removes it."""
        return Checkpoint(self._checkpoint_path(kind, key), every)

    def _path(self, kind: str, key: str) -> Path:
        return Path(f"{self.root}/objects/{kind}/{key[:2]}/{key}")  # One parse; plans call this twice per cell.

    def _checkpoint_path(self, kind: str, key: str) -> Path:
        return self.root / "checkpoints" / f"{kind}-{key}.npz"

    def lock(self, kind: str, key: str) -> BaseFileLock:
        """The lock that a process holds while it makes this object, together with a shared one of :data:`LOCKS`.

        Raises:
            OSError: if the store cannot be written.
        """
        for name in (LOCKS, DRAFTS):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        return lock_at(self.root / LOCKS / f"{kind}-{key}.lock", self.root / DRAFTS)

    @contextmanager
    def making(self, kind: str, key: str) -> Iterator[None]:
        """Within the block, no other process makes this object by this or :meth:`get_or_make`, which then wait.

        Not to be entered again within itself. Whoever holds several enters them in the order cell, release, others.

        Raises:
            StoreError: if the store cannot be written.
        """
        with ExitStack() as held:
            with reporting(self._path(kind, key), "UCBENCH_HOME"):
                lock = self.lock(kind, key)
                held.enter_context(locked(self.root / LOCKS))
                holder = Path(lock.lock_file).with_suffix(".holder")
                try:
                    lock.acquire(timeout=_PATIENCE)
                except Timeout:
                    with self._waiting(f"Waiting for {holder_text(holder)}, which makes the same {kind}."):
                        lock.acquire()
                held.callback(lock.release)
            held.enter_context(holding(holder))
            yield

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        """A new path below :data:`DRAFTS`, where nothing stays after the block."""
        folder = self.root / DRAFTS
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / draft_name("object")
        with locked(folder):
            try:
                yield draft
            finally:
                remove(draft)

    def sweep_drafts(self) -> None:
        """Remove what writers that were killed left unfinished; checkpoints stay."""
        for name in (DRAFTS, "checkpoints"):
            sweep_drafts(self.root / name)

    def _set_aside(self, kind: str, key: str, path: Path, damage: Exception) -> None:
        target = self.root / "quarantine" / f"{kind}-{key}-{uuid.uuid4().hex[:8]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # Another process may have moved it already.
            path.rename(target)
        logger.warning("%s is damaged (%s): moved to %s, it will be made again.", path, damage, target)


def _rename_unless_taken(draft: Path, path: Path) -> None:
    try:
        draft.rename(path)
    except OSError as error:
        # A rename cannot replace a folder with files: another process was first, and its object stays.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    sync_folder(path.parent)
