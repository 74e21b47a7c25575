"""What a folder of copies says of itself: its manifest, and the journal of a run that has not ended."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ucbench.errors import DataError, UsageError
from ucbench.protection.manifest import (
    JOURNAL,
    MANIFEST,
    PATTERNS,
    LeftOut,
    Manifest,
    Output,
    ProtectedPhoto,
    Settings,
    read_manifest,
)
from ucbench.store.files import make_folder, reporting, sync


@dataclass
class State:
    """What was done so far.

    Attributes:
        manifest: of the last run that ended, if any.
        settings, output: of earlier runs; None in a new folder.
        photos: copies by path of the original, also of originals that are gone.
        left: entries without a copy, by path.
        planned: paths of copies that a run set out to write and did not report: whatever is there is its own.
        numbers: patterns assigned to photos that were not crafted on, by SHA-256 of the file.
    """

    manifest: Manifest | None = None
    settings: Settings | None = None
    output: Output | None = None
    photos: dict[str, ProtectedPhoto] = field(default_factory=dict)
    left: dict[str, LeftOut] = field(default_factory=dict)
    planned: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, result: ProtectedPhoto | LeftOut) -> None:
        """Note what happened to a photo."""
        if isinstance(result, LeftOut):
            self.left[result.path] = result
        else:
            self.photos[result.source] = result
            self.left.pop(result.source, None)
            self.planned.discard(result.output)


def read_state(folder: Path) -> State:
    """What was done in the folder so far; nothing in a new one.

    Raises:
        DataError: if the manifest or the journal is damaged.
    """
    state = State()
    if (folder / MANIFEST).exists():
        manifest = state.manifest = read_manifest(folder / MANIFEST)
        state.settings, state.output = manifest.settings, manifest.output
        state.photos = {photo.source: photo for photo in manifest.photos}
        state.left = {left.path: left for left in manifest.left}
        state.numbers = {photo.source_sha256: photo.pattern for photo in manifest.photos}
    for line in _lines(folder / JOURNAL):
        try:
            _apply(json.loads(line), state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder / JOURNAL} is damaged: {error}. Remove it to begin again.") from error
    if state.manifest is None and not (folder / PATTERNS).exists():
        state.settings = state.output = None  # nothing was made with them
    return state


def stamp(folder: Path) -> tuple[str, ...]:
    """What changes whenever :func:`read_state` would.

    Raises:
        StoreError: if a file cannot be read.
    """
    manifest = folder / MANIFEST
    with reporting(manifest):
        written = manifest.read_bytes() if manifest.exists() else b""
    return tuple(hashlib.sha256(content).hexdigest() for content in (written, *_lines(folder / JOURNAL)))


def _lines(path: Path) -> list[bytes]:
    """The complete lines: a killed run may have written half of its last one."""
    with reporting(path):
        if not path.exists():
            return []
        return path.read_bytes().split(b"\n")[:-1]


def _apply(entry: dict[str, Any], state: State) -> None:
    [(kind, value)] = entry.items()
    match kind:
        case "begin":
            state.settings, state.output = Settings(**value["settings"]), Output(**value["output"])
        case "plan":
            state.planned.update(value)
        case "assigned":
            state.numbers.update(value)
        case "photo":
            state.add(ProtectedPhoto(**value))
        case "left":
            state.add(LeftOut(**value))
        case _:
            raise ValueError(f"it has an entry {kind!r}")


class Journal:
    """Appends what was done; see :func:`journal`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def write(self, kind: str, value: Any) -> None:
        """Append an entry, which then survives a crash.

        Raises:
            StoreError: if it cannot be written.
        """
        with reporting(self._path), open(self._descriptor, "ab", closefd=False) as file:
            file.write(json.dumps({kind: value}).encode() + b"\n")
            sync(file)

    def done(self, result: ProtectedPhoto | LeftOut) -> None:
        """Note what happened to a photo."""
        self.write("left" if isinstance(result, LeftOut) else "photo", result.model_dump(mode="json"))


@contextmanager
def journal(folder: Path) -> Iterator[Journal]:
    """The journal of a folder, which is created; one run has it at a time.

    It is removed when the block ends well, and if nothing was written to it.

    Raises:
        UsageError: if another run has it.
        StoreError: if it cannot be written.
    """
    path = folder / JOURNAL
    with reporting(path):
        make_folder(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, folder)
        with reporting(path):
            os.ftruncate(descriptor, sum(len(line) + 1 for line in _lines(path)))
        try:
            yield Journal(path, descriptor)
        except BaseException:
            if not os.fstat(descriptor).st_size:
                path.unlink(missing_ok=True)
            raise
        with reporting(path):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"Another run writes to {folder}. Wait until it ends.") from None
    except OSError:  # a file system without locks
        return
