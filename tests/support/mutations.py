"""Structural mutations of JSON values, of the text of files, and of the files themselves, from a seeded generator."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ucbench.store.untrusted import LARGEST_TEXT

DEEP: Any = "leaf"
for _ in range(200):
    DEEP = [DEEP]
#: Values of every kind that a reader may not expect.
VALUES = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 2**63, -(2**63), 10**400, "", "none", "clean", "positive",
    "\x1b]0;x\x07", "\x00", "\ud800", "\u202e", "a\nb", "=1+1", "../../../outside", "/etc/passwd", "C:\\x", "a|b`c",
    "uc:", "uc:x=1,", "((", "a+b", "+", "9" * 5000, [], [None], {}, {"": {}}, [[[]]], {"a.b": 1}, DEEP, "0" * 32,
    "1e999",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all parts of a JSON value."""
    yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in steps:
        yield from places(part, (*path, step))


def mutated(value: Any, draw: random.Random) -> Any:
    """The value with one to three parts replaced, removed, repeated, renamed or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        path = draw.choice(list(places(value)))
        if not path:
            continue
        owner = _at(value, path[:-1])
        step = path[-1]
        match draw.choice(("replace", "replace", "nudge", "remove", "add", "rename", "exchange")):
            case "replace":
                owner[step] = copy.deepcopy(draw.choice(VALUES))
            case "nudge":
                owner[step] = _nudged(owner[step], draw)
            case "remove":
                del owner[step]
            case "add" if isinstance(owner, dict):
                owner[
                    draw.choice(("test_accuracy", "dataset", "x.y", "=x.y", "epoch", "poisoner", "\x1b.x", "threads"))
                ] = copy.deepcopy(draw.choice(VALUES))
            case "rename" if isinstance(owner, dict):
                owner[draw.choice(("", "a/b", "x.y", "cell", "\n"))] = owner.pop(step)
            case _:
                owner[step] = copy.deepcopy(_at(value, draw.choice(list(places(value)))))
                if len(json.dumps(value)) > 10**6:
                    owner[step] = None
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _nudged(value: Any, draw: random.Random) -> Any:
    """A value of the same type, so that most schemas take it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw.choice((-1, 1, 1000, 2**40))
    if isinstance(value, float):
        return draw.choice((value + 1, -value, value / 3, 0.0, 1e-300, 1e300))
    if isinstance(value, str):
        return draw.choice(
            (value[::-1], value + value, value[:-1], f"{value}:x=1", f"{value}+{value}", value + "\x1b[2J")
        )
    return [value] if isinstance(value, dict) else {"0": value} if isinstance(value, list) else value


def spoiled(data: bytes, draw: random.Random) -> bytes:
    """The bytes cut, changed, repeated or in another encoding."""
    place = draw.randrange(len(data) + 1)
    match draw.randrange(6):
        case 0:
            return data[:place]
        case 1:
            return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]
        case 2:
            return data + data[place:]
        case 3:
            return data.decode(errors="replace").encode("utf-16")
        case 4:
            return data[:place] + draw.choice((b"[", b"{", b'"', b"\n", b"\xff", b"NaN", b"\x00")) + data[place:]
    return data[:place] + b"[" * 50_000


def replaced(path: Path, draw: random.Random) -> None:
    """Something else than a regular file in place of the file."""
    path.unlink()
    match draw.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.symlink_to(path.parent)
        case _:
            with path.open("wb") as file:
                file.truncate(LARGEST_TEXT + 1)  # without blocks on the disk, and small if something copies it


def fresh(folder: Path, target: Path) -> Path:
    """A copy of the folder in place of what ``target`` holds; never of a mutated one, whose links may have no end."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    return target
