"""The store: objects that are made once, kept under a key of all they depend on, and verified when opened.

An object is a folder of plain ``.npy`` files with a manifest of their hashes. It appears by one rename, whole
or not at all; a damaged one is set aside into ``quarantine/`` and made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from ucbench.errors import ContractError, StoreError
from ucbench.store.files import atomic_write_bytes, atomic_write_text, replacing, reporting, sync, sync_folder
from ucbench.store.keys import canonical

__all__ = ["Checkpoint", "Store", "StoredObject", "atomic_write_bytes", "atomic_write_text"]

logger = logging.getLogger(__name__)

SCHEMA = 1
MANIFEST = "manifest.json"
#: Seconds between two writes of a checkpoint.
CHECKPOINT_EVERY = 20.0

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class StoredObject:
    """An object as it lies in the store.

    Attributes:
        kind: what it is (``release``, ``surrogate``, ...).
        key: the key it is stored under, see :func:`ucbench.store.keys.key`.
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
    """Objects under one folder, shared by all processes that use it.

    Args:
        root: the folder, made when first written to. Default: the environment variable ``UCBENCH_HOME``,
            else the platform's cache folder for ucbench.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("UCBENCH_HOME") or user_cache_dir("ucbench"))

    def get(self, kind: str, key: str, *, touch: bool = True) -> StoredObject | None:
        """Open an object, comparing every file with its hash; with ``touch``, that counts as a use of it.

        Returns:
            The object; None if there is none, or if it was damaged and has been moved to ``quarantine/``.

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
                with suppress(OSError):  # A store may be read-only; this only tells when the object was last of use.
                    os.utime(path)
            return stored

    def put(self, kind: str, key: str, arrays: Arrays, meta: Mapping[str, Any]) -> StoredObject:
        """Store an object and drop its checkpoint; one that is there already is kept and returned.

        Raises:
            ContractError: if an array's name is no plain file name, an array holds Python objects, or
                ``meta`` is not JSON.
            StoreError: if the store cannot be written; nothing is left behind then.
        """
        _check_arrays(arrays)
        content = {"schema": SCHEMA, "kind": kind, "key": key, "meta": json.loads(canonical(meta))}
        path, draft = self._path(kind, key), self.root / "tmp" / uuid.uuid4().hex
        with reporting(path):
            if self.get(kind, key) is None:
                try:
                    _write_object(draft, content, arrays)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _rename_unless_taken(draft, path)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
            self._checkpoint_path(kind, key).unlink(missing_ok=True)
        stored = self.get(kind, key)
        if stored is None:
            raise StoreError(f"{path} reads back damaged. Check the disk, or set UCBENCH_HOME to another.")
        return stored

    def get_or_make(
        self, kind: str, key: str, make: Callable[[], tuple[Arrays, Mapping[str, Any]]]
    ) -> tuple[StoredObject, bool]:
        """Open an object, or make it: once, even if several processes ask at the same time; the others wait.

        Returns:
            The object, and whether this call made it.

        Raises:
            StoreError, ContractError: as :meth:`get` and :meth:`put`; what ``make`` raises passes through.
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
        """Remove an object, so that it is made again when next asked for; a no-op if there is none.

        Raises:
            StoreError: if the store cannot be written.
        """
        path, grave = self._path(kind, key), self.root / "tmp" / uuid.uuid4().hex
        with reporting(path):
            grave.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # It goes by one rename: nobody sees half of it.
                path.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)

    def checkpoint(self, kind: str, key: str, every: float = CHECKPOINT_EVERY) -> Checkpoint:
        """Where an object's maker keeps its progress, every ``every`` seconds, until the object is put."""
        return Checkpoint(self._checkpoint_path(kind, key), every)

    def _path(self, kind: str, key: str) -> Path:
        return Path(f"{self.root}/objects/{kind}/{key[:2]}/{key}")  # One parse; plans come here twice a cell.

    def _checkpoint_path(self, kind: str, key: str) -> Path:
        return self.root / "checkpoints" / f"{kind}-{key}.npz"

    def lock_path(self, kind: str, key: str) -> Path:
        """The file that whoever makes this object holds locked."""
        return self.root / "locks" / f"{kind}-{key}.lock"

    @contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        path = self.lock_path(kind, key)
        lock = FileLock(path)
        with reporting(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _set_aside(self, kind: str, key: str, path: Path, damage: Exception) -> None:
        target = self.root / "quarantine" / f"{kind}-{key}-{uuid.uuid4().hex[:8]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # Another process may have set it aside.
            path.rename(target)
        logger.warning("%s is damaged (%s): moved to %s, it will be made again.", path, damage, target)


class Checkpoint:
    """Progress of a long computation, in one file; a :class:`ucbench.crafting.poisoner.Checkpoint`."""

    def __init__(self, path: Path, every: float) -> None:
        self._path = path
        self._every = every
        self._written = time.monotonic()

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The last saved ``(step, arrays)``, or None; a damaged file counts as none, with a warning."""
        with reporting(self._path):
            try:
                with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    arrays = {name.removeprefix("array."): stored[name] for name in stored if name != "step"}
                    return int(stored["step"]), arrays
            except FileNotFoundError:
                return None
            except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as damage:
                logger.warning("%s is damaged (%s): starting afresh.", self._path, damage)
                return None

    def save(self, step: int, arrays: Arrays) -> None:
        """Save atomically; a no-op within ``every`` seconds of the last write or of the start.

        Raises:
            ContractError: if an array holds Python objects.
            StoreError: if the file cannot be written; the last saved state is kept.
        """
        if time.monotonic() - self._written < self._every:
            return
        _check_arrays(arrays)
        with replacing(self._path) as file:
            # Prefixed, since `file` and `step` are taken as names.
            entries: dict[str, Any] = {f"array.{name}": array for name, array in arrays.items()}
            np.savez(file, step=np.int64(step), **entries)
        self._written = time.monotonic()


class _DamagedError(Exception):
    """A stored object is not what was written; the text says how one can tell."""


def _open(kind: str, key: str, path: Path) -> StoredObject:
    try:
        content = json.loads((path / MANIFEST).read_bytes())
        intact = content.pop("sha256") == _text_hash(canonical(content))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, ContractError) as error:
        raise _DamagedError(f"its manifest cannot be read: {error!r}") from error
    if not intact:
        raise _DamagedError("its manifest was altered")
    if (content["schema"], content["kind"], content["key"]) != (SCHEMA, kind, key):
        raise _DamagedError(f"it holds {content['kind']} {content['key']} in schema {content['schema']}")
    for name, expected in content["files"].items():
        try:
            intact = _describe(path / name) == expected
        except FileNotFoundError as error:
            raise _DamagedError(f"{name} is missing") from error
        if not intact:
            raise _DamagedError(f"{name} was altered")
    arrays = {
        name.removesuffix(".npy"): np.load(path / name, mmap_mode="r", allow_pickle=False) for name in content["files"]
    }
    return StoredObject(kind, key, path, arrays, content["meta"])


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
        # A folder cannot replace one that holds files: another process was first, and its object stays.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    sync_folder(path.parent)


def _check_arrays(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise ContractError(f"Array name {name!r} is not made of letters, digits, '_', '.' and '-'.")
        if array.dtype.hasobject:
            raise ContractError(f"Array {name!r} holds Python objects (dtype {array.dtype}), which are not stored.")


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
