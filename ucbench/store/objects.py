"""An object of the store as a folder: ``.npy`` files, and a manifest of their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucbench.errors import ContractError
from ucbench.store.files import digest_of, sync, sync_folder
from ucbench.store.keys import canonical
from ucbench.store.untrusted import read_json

SCHEMA = 1
MANIFEST = "manifest.json"

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


class DamagedError(Exception):
    """A stored object differs from what was written; the text says how."""


def open_object(kind: str, key: str, path: Path) -> StoredObject:
    """The object in a folder, after comparing every file with its hash.

    Raises:
        DamagedError: if it is not what was written under this kind and key.
        OSError: if it cannot be read for another reason.
    """
    try:
        content = read_json(path / MANIFEST)
        intact = content.pop("sha256") == _text_hash(canonical(content))
        stated, files, meta = [content[name] for name in ("schema", "kind", "key")], content["files"], content["meta"]
        named = isinstance(files, dict) and isinstance(meta, dict) and all(re.fullmatch(_FILE, name) for name in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ContractError) as error:
        if isinstance(error, OSError) and error.errno not in _UNFIT:
            raise
        raise DamagedError(f"its manifest cannot be read: {error!r}") from error
    if not intact or not named:
        raise DamagedError("its manifest was altered")
    if stated != [SCHEMA, kind, key]:
        raise DamagedError(f"it holds {stated[1]} {stated[2]} in schema {stated[0]}")
    arrays = {}
    for name, expected in files.items():
        if not (path / name).is_file():
            raise DamagedError(f"{name} is missing")
        if _describe(path / name) != expected:
            raise DamagedError(f"{name} was altered")
        try:
            arrays[name.removesuffix(".npy")] = np.load(path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, MemoryError):  # too many open files, for example; the array may be intact
            raise
        except Exception as error:  # NumPy reads the header as Python, so it can be of any kind
            raise DamagedError(f"{name} is no array: {error}") from error
    return StoredObject(kind, key, path, arrays, meta)


def write_object(folder: Path, content: Mapping[str, Any], arrays: Arrays) -> None:
    """Write an object into a new folder, and flush it to the disk.

    Args:
        content: its schema, kind, key and meta.

    Raises:
        OSError: if it cannot be written.
    """
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


def check_arrays(arrays: Arrays) -> None:
    """Check that these arrays can be stored under their names.

    Raises:
        ContractError: if not.
    """
    for name, array in arrays.items():
        if not re.fullmatch(_NAME, name):
            raise ContractError(f"Array name {name!r} must consist of letters, digits, '_', '.' and '-'.")
        if array.dtype.hasobject:
            raise ContractError(f"Array {name!r} holds Python objects (dtype {array.dtype}), which cannot be stored.")


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest_of(path)}


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
