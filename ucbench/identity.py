"""Identity of values: canonical JSON, keys of stored objects, and seeds derived from both.

A key must depend on nothing but the value: not on the order of mappings, the process, or the platform.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from ucbench.errors import ContractError


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII, floats as ``repr``, tuples as lists.

    NumPy scalars count as the Python numbers they convert to. Integers and floats are told apart (``8`` is
    not ``8.0``): a typed parameter always holds the same type, so equal parameters have equal texts.

    Raises:
        ContractError: for NaN, infinity, keys that are not text, and types unknown to JSON; the text says
            where.
    """
    return json.dumps(_plain(value, "value"), sort_keys=True, separators=(",", ":"), allow_nan=False)


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


def _plain(value: Any, place: str) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ContractError(f"{place} has the key {name!r}: keys must be text.")
        return {name: _plain(entry, f"{place}.{name}") for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{place}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ContractError(f"{place} is {value}: numbers must be finite.")
        return float(value)
    if value is None or isinstance(value, str | int):
        return value
    raise ContractError(
        f"{place} is of type {type(value).__module__}.{type(value).__qualname__}, which has no JSON form:"
        " use numbers, text, booleans, None, lists and mappings."
    )
