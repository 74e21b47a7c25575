"""The site's folder: writes files atomically and removes those of an earlier build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ucbench.errors import UsageError
from ucbench.store.files import atomic_write_text, draft_name, is_occupied, reporting
from ucbench.store.untrusted import read_regular

#: Computes the content of a file, just before it is written.
Content = Callable[[], bytes]
#: The list of a site's files: it marks a folder as a site, and shows which files a later build must remove.
MANIFEST = "files.txt"
#: Pattern of their paths: within the folder, at most three levels down.
_NAME = r"([A-Za-z0-9_-][^/\\\x00]*/){0,3}[A-Za-z0-9_-][^/\\\x00]*"
_HEAD = "# A site written by `ucbench leaderboard site`. Another build removes the files listed here.\n"


class Output:
    """The folder of a site while it is written, part by part.

    Raises:
        UsageError: if ``out`` is not empty and not a site.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.names: set[str] = set()
        self._old = _listed(out)

    def write(self, files: Mapping[str, Content]) -> None:
        """Write these files, by relative path."""
        self.names |= files.keys()
        # First, so that after an interruption the next build still knows all files.
        self._list(self._old | self.names)
        for name, content in files.items():
            _write(self.out / name, content())

    def finish(self) -> None:
        """Remove the files of an earlier build that were not written again."""
        for name in sorted(self._old - self.names):
            _remove(self.out, name)
        self._list(self.names)

    def _list(self, names: Iterable[str]) -> None:
        atomic_write_text(self.out / MANIFEST, _HEAD + "".join(f"{name}\n" for name in sorted(names)))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all. Unlike a record, a page need not survive a power cut: the next build finds it changed."""
    with reporting(path):
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        draft = path.with_name(draft_name("page"))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _listed(out: Path) -> set[str]:
    """The files an earlier build wrote."""
    manifest = out / MANIFEST
    if not manifest.is_file():
        if is_occupied(out):
            raise UsageError(f"{out} is not empty and not a site of ucbench. Name a new or empty folder by --out.")
        return set()
    with reporting(manifest):
        lines = read_regular(manifest).decode(errors="replace").splitlines()
    # A list edited by hand must not reach beyond the folder.
    return {line for line in lines[1:] if re.fullmatch(_NAME, line) and not _is_linked(out, line)}


def _is_linked(out: Path, name: str) -> bool:
    """Whether a folder on the way to the file is a link to elsewhere."""
    return any((out / parent).is_symlink() for parent in Path(name).parents if parent != Path("."))


def _remove(out: Path, name: str) -> None:
    path = out / name
    with reporting(path):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == out or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
