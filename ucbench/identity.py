"""Identity of values: canonical JSON, keys of stored objects, and seeds derived from both.

A key must depend on nothing but the value: not on the order of mappings, the process, or the platform.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from ucbench.errors import ContractError


@dataclass(frozen=True)
class Canonical:
    """A value by its canonical text, so that what thousands of keys share is written out once."""

    text: str

    @classmethod
    def of(cls, value: Any) -> Canonical:
        return cls(canonical(value))


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII, floats as ``repr``, tuples as lists.

    A :class:`Canonical` stands for the value it was made of.

    NumPy scalars count as the Python numbers they convert to. Integers and floats are told apart (``8`` is
    not ``8.0``): a typed parameter always holds the same type, so equal parameters have equal texts.

    Raises:
        ContractError: for NaN, infinity, keys that are not text, and types unknown to JSON; the text says
            where.
    """
    return _text(value, "value")


def key(kind: str, value: Any) -> str:
    """Key of an object of ``kind`` made from ``value``: 32 hexadecimal digits of a SHA-256.

    Raises:
        ContractError: as :func:`canonical`.
    """
    return _digest(canonical(kind) + canonical(value)).hex()[:32]


def derive_seed(*parts: Any) -> int:
    """A seed of 63 bits from any values that :func:`canonical` takes; unrelated parts give unrelated seeds.

    Raises:
        ContractError: as :func:`canonical`.
    """
    return int.from_bytes(_digest(canonical(parts))[:8], "big") >> 1


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()


def _text(value: Any, place: str) -> str:
    # The commonest first: planning ten thousand cells passes here a million times.
    if isinstance(value, Canonical):
        return value.text
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is int:
        return repr(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ContractError(f"{place} has the key {name!r}: keys must be text.")
        entries = (f"{encode_basestring_ascii(name)}:{_text(value[name], f'{place}.{name}')}" for name in sorted(value))
        return f"{{{','.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(entry, f'{place}[{i}]') for i, entry in enumerate(value))}]"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ContractError(f"{place} is {value}: numbers must be finite.")
        return json.dumps(float(value))
    if value is None or isinstance(value, str | int):
        return json.dumps(value)
    raise ContractError(
        f"{place} is of type {type(value).__module__}.{type(value).__qualname__}, which has no JSON form:"
        " use numbers, text, booleans, None, lists and mappings."
    )
