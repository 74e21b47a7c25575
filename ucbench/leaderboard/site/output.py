"""The site's folder: writes files atomically and removes those of an earlier build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ucbench.errors import UsageError
from ucbench.store.files import atomic_write_bytes, atomic_write_text, reporting
from ucbench.store.untrusted import read_regular

#: The list of a site's files: it marks a folder as a site, and shows which files a later build must remove.
MANIFEST = "files.txt"
#: Pattern of their paths: within the folder, at most one level down.
_NAME = r"([A-Za-z0-9_-][^/\\\x00]*/)?[A-Za-z0-9_-][^/\\\x00]*"
_HEAD = "# A site written by `ucbench leaderboard site`. Another build removes the files listed here.\n"


def replace_files(out: Path, files: Mapping[str, Callable[[], bytes]]) -> None:
    """Make ``out`` hold these files, by relative path; each content is computed just before it is written.

    Raises:
        UsageError: if ``out`` is not empty and not a site.
        StoreError: if a file cannot be written.
    """
    old = _listed(out)
    # First, so that after an interruption the next build still knows all files.
    _list(out, old | files.keys())
    for name, content in files.items():
        _write(out / name, content())
    for name in sorted(old - files.keys()):
        _remove(out, name)
    _list(out, files)


def _write(path: Path, content: bytes) -> None:
    with reporting(path):
        same = path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
    if not same:
        atomic_write_bytes(path, content)


def _listed(out: Path) -> set[str]:
    """The files an earlier build wrote."""
    manifest = out / MANIFEST
    if not manifest.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty and not a site of ucbench. Name a new or empty folder by --out.")
        return set()
    with reporting(manifest):
        lines = read_regular(manifest).decode(errors="replace").splitlines()
    # A list edited by hand must not reach beyond the folder.
    return {line for line in lines[1:] if re.fullmatch(_NAME, line) and not (out / line).parent.is_symlink()}


def _list(out: Path, names: Iterable[str]) -> None:
    atomic_write_text(out / MANIFEST, _HEAD + "".join(f"{name}\n" for name in sorted(names)))


def _remove(out: Path, name: str) -> None:
    path = out / name
    with reporting(path):
        path.unlink(missing_ok=True)
        if path.parent != out and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
