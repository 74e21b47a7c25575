"""Keys: canonical JSON, hashes of values and files, and seeds derived from values.

A key depends on the value only: not on the order of mappings, the process, the platform or a file's path.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from ucbench.errors import ContractError, DataError, UnmetRequestError
from ucbench.store.files import digest_of

#: Kinds of the objects that the core stores. "pictures" are decoded images; the word is part of their keys.
KINDS = ("cell", "damage", "framing", "labels", "metric", "pictures", "prepared", "release", "surrogate", "victim")


@dataclass(frozen=True)
class KeyText:
    """The canonical text of a value, computed once for the thousands of keys that contain it."""

    text: str

    @classmethod
    def of(cls, value: Any) -> KeyText:
        return cls(canonical(value))


def canonical(value: Any) -> str:
    """The canonical JSON text of a value: sorted keys, no spaces, ASCII, floats as ``repr``, tuples as lists.

    A :class:`KeyText` stands for its value; a NumPy scalar is converted to a Python number. Integers and floats differ
    (``8`` is not ``8.0``): a typed parameter always has the same type, so equal parameters have equal texts.

    Raises:
        ContractError: for NaN, infinity, keys that are not text, and types unknown to JSON; the text says where.
    """
    try:
        return _text(value)
    except _UnfitError as unfit:
        raise ContractError(f"value{''.join(reversed(unfit.path))} {unfit}") from None


def key(kind: str, value: Any) -> str:
    """Key of an object of ``kind`` made from ``value``: the first 32 hexadecimal digits of a SHA-256.

    Raises:
        ContractError: as :func:`canonical`.
    """
    return _digest(canonical(kind) + canonical(value)).hex()[:32]


def derive_seed(*parts: Any) -> int:
    """A seed of 63 bits from any values that :func:`canonical` takes; different parts give independent seeds.

    Raises:
        ContractError: as :func:`canonical`.
    """
    return int.from_bytes(_digest(canonical(parts))[:8], "big") >> 1


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal; cached while the file's time and size are unchanged.

    Parameters that name a file put this into the key, not the path.

    Raises:
        UnmetRequestError: if there is no such file; the text names it.
        DataError: if it cannot be read.
    """
    try:
        status = path.stat()
        return _sha256(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        is_missing = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
        refusal = UnmetRequestError if is_missing else DataError
        raise refusal(f"Cannot read {path}: {error.strerror or error}.") from error


@lru_cache(maxsize=256)
def _sha256(path: Path, modified_ns: int, size: int) -> str:
    return digest_of(path)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()


class _UnfitError(Exception):
    """A value without a canonical text, and the path to it, innermost step first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


# A plan of ten thousand cells calls this a million times: the most common types come first, and a path is built only
# for an error.
def _text(value: Any) -> str:
    if isinstance(value, KeyText):
        return value.text
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is int:
        return repr(value)
    if value is None:
        return "null"
    if kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, Mapping):
        return _mapping_text(value)
    if isinstance(value, list | tuple):
        return _list_text(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _UnfitError(f"is {value}: numbers must be finite.")
        return json.dumps(float(value))
    if isinstance(value, str | int):
        return json.dumps(value)
    raise _UnfitError(
        f"is of type {type(value).__module__}.{type(value).__qualname__}, which has no JSON form:"
        " use numbers, text, booleans, None, lists and mappings."
    )


def _mapping_text(value: Mapping[Any, Any]) -> str:
    for name in value:
        if not isinstance(name, str):
            raise _UnfitError(f"has the key {name!r}: keys must be text.")
    entries = []
    for name in sorted(value):
        try:
            entries.append(f"{encode_basestring_ascii(name)}:{_text(value[name])}")
        except _UnfitError as unfit:
            unfit.path.append(f".{name}")
            raise
    return f"{{{','.join(entries)}}}"


def _list_text(value: Sequence[Any]) -> str:
    entries = []
    for index, entry in enumerate(value):
        try:
            entries.append(_text(entry))
        except _UnfitError as unfit:
            unfit.path.append(f"[{index}]")
            raise
    return f"[{','.join(entries)}]"
