"""Maps from a data set's classes to coarser ones, as files hold them. Imports no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ucbench import UsageError, did_you_mean

_SHOWN = 5


def read_class_map(path: Path) -> dict[str, str]:
    """The coarse class of every class in a TOML file.

    A key is a class with the name of its coarse class (``cat = "animal"``), or a coarse class with the list of its
    classes (``animal = ["cat", "dog"]``).

    Raises:
        UsageError: naming the file if it cannot be read or is not TOML, and the key if its value is neither of the two
            or names a class for the second time.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"coarse: {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(f"coarse: {path} is not valid TOML: {error}.") from error
    coarse: dict[str, str] = {}
    for key, value in entries.items():
        for name, group in _pairs(path, key, value):
            if name in coarse:
                raise UsageError(
                    f"coarse: {path}: key {key!r} puts class {name!r} into {group!r}, but it is in {coarse[name]!r}"
                    " already. Name every class once."
                )
            coarse[name] = group
    return coarse


def _pairs(path: Path, key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str) and value:
        return [(key, value)]
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return [(name, key) for name in value]
    raise UsageError(
        f"coarse: {path}: the value of key {key!r} must be the name of a coarse class or a list of class names, each"
        " of them in quotes."
    )


def numbered(
    coarse: Mapping[str, str], classes: Sequence[str], path: Path, name: str
) -> tuple[list[int], tuple[str, ...]]:
    """The number of every class's coarse class, and the coarse classes' names.

    Coarse classes are numbered in the order of their first class in ``classes``, so that the order of the file does
    not matter.

    Args:
        coarse: what :func:`read_class_map` returned for ``path``.
        classes: the data set's.
        name: what errors call the data set.

    Raises:
        UsageError: naming the file and the class if the file has a class that the data set lacks, or lacks one that it
            has, and if the map leaves a single class.
    """
    unknown = [known for known in coarse if known not in classes]
    if unknown:
        raise UsageError(
            f"coarse: {path}: {unknown[0]!r} (put into {coarse[unknown[0]]!r}) is not a class of {name}."
            f"{did_you_mean(unknown[0], classes)} Its classes: {_some(classes)}."
        )
    missing = [known for known in classes if known not in coarse]
    if missing:
        raise UsageError(f"coarse: {path} leaves out {_some(missing)} of {name}. Name every class once.")
    names = tuple(dict.fromkeys(coarse[known] for known in classes))
    if len(names) < 2:
        raise UsageError(f"coarse: {path} puts every class into {names[0]!r}; at least two coarse classes are needed.")
    return [names.index(coarse[known]) for known in classes], names


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
