"""Keeps places on somebody's machine out of what is published: a path becomes its last part."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from ucbench.errors import UsageError
from ucbench.plugins.grammar import parse_chain
from ucbench.results.records import Record
from ucbench.store.places import absolute_paths, is_path, last_part, without_folders

#: Fields of a request that name components, whose argument may be a path.
_NAMING = ("dataset", "poisoner", "surrogate", "craft_labels", "labeling", "defense", "victim")


def without_places(records: Iterable[Record]) -> list[Record]:
    """The records with paths shortened to their last part; those without paths as they are.

    Data sets of one name after that, but of other images, have the start of their fingerprint beside the name. Paths of
    other components that would become one name have the start of their hash behind it.
    """
    records = list(records)
    apart = _of_one_name(records)
    pairs = [(record, _shortened(record, apart)) for record in records]
    images: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record, short in pairs:
        images[short["request"]["dataset"]].add((record["request"]["dataset"], record["data"]["train"]))
    for record, short in pairs:
        same = images[short["request"]["dataset"]]
        if short is not record and len({name for name, _ in same}) > 1 and len({data for _, data in same}) > 1:
            short["request"]["dataset"] += f" ({record['data']['train'][:8]})"
    return [short for _, short in pairs]


def _of_one_name(records: Iterable[Record]) -> frozenset[str]:
    """The paths in references to different components that their last parts alone would make one."""
    references: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        shorten = _shortening(record)
        for name in _NAMING:
            if name != "dataset":
                reference = str(record["request"][name])
                references[name, shorten(reference)].add(reference)
    same = {reference for full in references.values() if len(full) > 1 for reference in full}
    return frozenset(path for reference in same for path in (*_paths_in(reference), *absolute_paths(reference)))


def _shortened(record: Record, apart: frozenset[str]) -> Record:
    changed: Record = _mapped(record, _shortening(record, apart))
    return record if changed == record else changed


def _shortening(record: Record, apart: frozenset[str] = frozenset()) -> Callable[[str], str]:
    """What shortens the paths in the texts of a record, those in ``apart`` to names of their own."""
    paths = sorted({path for path in _paths(record) if path != last_part(path)}, key=len, reverse=True)

    def short(path: str) -> str:
        digest = hashlib.sha256(path.encode(errors="backslashreplace")).hexdigest()
        return last_part(path) + (f"-{digest[:8]}" if path in apart else "")

    def plain(text: str) -> str:
        for path in paths:
            text = text.replace(path, short(path))
        return without_folders(text, short)

    return plain


def _paths(record: Record) -> Iterable[str]:
    """Arguments of the request's components that are paths, and parameters of components that begin as one."""
    for name in _NAMING:
        yield from _paths_in(str(record["request"][name]))
    for part in record["components"].values():
        yield from (value for value in part["params"].values() if isinstance(value, str) and is_path(value))


@functools.lru_cache(4096)  # thousands of records name a few components
def _paths_in(reference: str) -> tuple[str, ...]:
    """Arguments of the components in a reference that are paths, and options that begin as one."""
    try:
        parts = parse_chain(reference)
    except UsageError:
        return ()
    paths: list[str] = []
    for part in parts:
        if part.argument and re.search(r"[/\\]", part.argument):
            # A reference within this one, such as that of a shuffled release, keeps its name.
            within = () if is_path(part.argument) else _paths_in(part.argument)
            paths += within or (part.argument,)
        paths += (value for _, value in part.options if is_path(value))
    return tuple(paths)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with ``change`` applied to all of its texts."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _mapped(entry, change) for name, entry in value.items()}
    return [_mapped(entry, change) for entry in value] if isinstance(value, list) else value
