"""The store: objects that are computed once, stored under a key of all their inputs, and verified when opened.

An object is a folder of ``.npy`` files with a manifest of their hashes. One rename makes it appear as a whole. Damaged
objects are moved to ``quarantine/`` and made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, Timeout
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from ucbench.errors import ContractError, StoreError
from ucbench.store.files import (
    digest_of,
    draft_name,
    locked,
    remove,
    replacing,
    reporting,
    sweep_drafts,
    sync,
    sync_folder,
)
from ucbench.store.keys import canonical
from ucbench.store.locks import holder_text, holding, lock_at
from ucbench.store.untrusted import read_json

logger = logging.getLogger(__name__)

SCHEMA = 1
MANIFEST = "manifest.json"
#: The folder of drafts, in which every run removes what an earlier one left.
DRAFTS = "tmp"
#: Seconds after which waiting for another process is worth a word.
_PATIENCE = 1.0
#: Seconds between two writes of a checkpoint.
CHECKPOINT_EVERY = 20.0

#: Errors of a manifest that is missing or no small regular file; others may pass, and say nothing of the object.
_UNFIT = (errno.ENOENT, errno.EINVAL, errno.EFBIG)

#: Patterns of the name of an array, and of its file.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_FILE = rf"{_NAME}[.]npy"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class StoredObject:
    """A verified object of the store.

    Attributes:
        kind: ``release``, ``surrogate``, ...
        key: its key, see :func:`ucbench.store.keys.key`.
        path: its folder.
        arrays: its arrays by name, read-only memory maps.
        meta: the JSON values stored with them.
    """

    kind: str
    key: str
    path: Path
    arrays: Arrays
    meta: Mapping[str, Any]


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
        with reporting(path):
            if not path.exists():
                return None
            try:
                stored = _open(kind, key, path)
            except _DamagedError as damage:
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
        _check_arrays(arrays)
        content = {"schema": SCHEMA, "kind": kind, "key": key, "meta": json.loads(canonical(meta))}
        path = self._path(kind, key)
        with reporting(path):
            if self.get(kind, key) is None:
                with self._draft() as draft:
                    _write_object(draft, content, arrays)
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
        with self._locked(kind, key):
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
        with reporting(path), self._draft() as trash, suppress(FileNotFoundError):
            path.rename(trash)  # One rename: no process sees half an object.

    def checkpoint(self, kind: str, key: str, every: float = CHECKPOINT_EVERY) -> Checkpoint:
        """The checkpoint of an unfinished object, written at most every ``every`` seconds; :meth:`put` removes it."""
        return Checkpoint(self._checkpoint_path(kind, key), every)

    def _path(self, kind: str, key: str) -> Path:
        return Path(f"{self.root}/objects/{kind}/{key[:2]}/{key}")  # One parse; plans call this twice per cell.

    def _checkpoint_path(self, kind: str, key: str) -> Path:
        return self.root / "checkpoints" / f"{kind}-{key}.npz"

    def lock(self, kind: str, key: str) -> BaseFileLock:
        """The lock that a process holds while it makes this object.

        Raises:
            OSError: if the store cannot be written.
        """
        for name in ("locks", DRAFTS):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        return lock_at(self.root / "locks" / f"{kind}-{key}.lock", self.root / DRAFTS)

    @contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        with reporting(self._path(kind, key)):
            lock = self.lock(kind, key)
            holder = Path(lock.lock_file).with_suffix(".holder")
            try:
                lock.acquire(timeout=_PATIENCE)
            except Timeout:
                with self._waiting(f"Waiting for {holder_text(holder)}, which makes the same {kind}."):
                    lock.acquire()
        try:
            with holding(holder):
                yield
        finally:
            lock.release()

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


class Checkpoint:
    """Saved state of a long computation, in one file; implements :class:`ucbench.crafting.poisoner.Checkpoint`."""

    def __init__(self, path: Path, every: float) -> None:
        self._path = path
        self._every = every
        self._written = time.monotonic()

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The last saved ``(step, arrays)``; None without a file, or with a damaged one (and a warning)."""
        with reporting(self._path):
            try:
                with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    arrays = {name.removeprefix("array."): stored[name] for name in stored if name != "step"}
                    return int(stored["step"]), arrays
            except FileNotFoundError:
                return None
            except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as damage:
                logger.warning("%s is damaged (%s): starting over.", self._path, damage)
                return None

    def save(self, step: int, arrays: Arrays) -> None:
        """Save atomically; a no-op within ``every`` seconds of the last write or of the start.

        Raises:
            ContractError: if an array holds Python objects.
            StoreError: if the file cannot be written; the last saved state stays.
        """
        if time.monotonic() - self._written < self._every:
            return
        _check_arrays(arrays)
        with replacing(self._path) as file:
            # Prefixed, since savez takes `file` and `step` as arguments.
            entries: dict[str, Any] = {f"array.{name}": array for name, array in arrays.items()}
            np.savez(file, step=np.int64(step), **entries)
        self._written = time.monotonic()


class _DamagedError(Exception):
    """A stored object differs from what was written; the text says how."""


def _open(kind: str, key: str, path: Path) -> StoredObject:
    try:
        content = read_json(path / MANIFEST)
        intact = content.pop("sha256") == _text_hash(canonical(content))
        stated, files, meta = [content[name] for name in ("schema", "kind", "key")], content["files"], content["meta"]
        named = isinstance(files, dict) and isinstance(meta, dict) and all(re.fullmatch(_FILE, name) for name in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ContractError) as error:
        if isinstance(error, OSError) and error.errno not in _UNFIT:
            raise
        raise _DamagedError(f"its manifest cannot be read: {error!r}") from error
    if not intact or not named:
        raise _DamagedError("its manifest was altered")
    if stated != [SCHEMA, kind, key]:
        raise _DamagedError(f"it holds {stated[1]} {stated[2]} in schema {stated[0]}")
    arrays = {}
    for name, expected in files.items():
        if not (path / name).is_file():
            raise _DamagedError(f"{name} is missing")
        if _describe(path / name) != expected:
            raise _DamagedError(f"{name} was altered")
        try:
            arrays[name.removesuffix(".npy")] = np.load(path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, MemoryError):  # too many open files, for example; the array may be intact
            raise
        except Exception as error:  # NumPy reads the header as Python, so it can be of any kind
            raise _DamagedError(f"{name} is no array: {error}") from error
    return StoredObject(kind, key, path, arrays, meta)


def _write_object(folder: Path, content: Mapping[str, Any], arrays: Arrays) -> None:
    folder.mkdir(parents=True)
    files = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("xb") as file:
            np.save(file, array, allow_pickle=False)
            sync(file)
        files[path.name] = _describe(path)
    content = {**content, "files": files}
    with (folder / MANIFEST).open("xb") as file:
        file.write(json.dumps({**content, "sha256": _text_hash(canonical(content))}, indent=1).encode())
        sync(file)
    sync_folder(folder)


def _rename_unless_taken(draft: Path, path: Path) -> None:
    try:
        draft.rename(path)
    except OSError as error:
        # A rename cannot replace a folder with files: another process was first, and its object stays.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    sync_folder(path.parent)


def _check_arrays(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not re.fullmatch(_NAME, name):
            raise ContractError(f"Array name {name!r} must consist of letters, digits, '_', '.' and '-'.")
        if array.dtype.hasobject:
            raise ContractError(f"Array {name!r} holds Python objects (dtype {array.dtype}), which cannot be stored.")


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest_of(path)}


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
