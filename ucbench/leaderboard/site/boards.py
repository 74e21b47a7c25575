"""Finds the boards in a folder: the folders that hold records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ucbench.leaderboard.site.output import MANIFEST

#: Levels below the given folder that are searched: ``SUITE/vN``, and one more for runs kept together.
DEPTH = 3


@dataclass(frozen=True)
class BoardFolder:
    """One board: its folder, its path below the searched folder, and a name for addresses."""

    path: Path
    relative: str
    slug: str


def find_boards(folder: Path) -> tuple[list[BoardFolder], list[str]]:
    """The boards in ``folder`` by path, and the paths of folders that neither are nor hold one.

    Nothing is searched within a board, within a site, or below :data:`DEPTH` levels.
    """
    paths: list[Path] = []
    others: list[Path] = []
    _search(folder, DEPTH, paths, others)
    relatives = [path.relative_to(folder).as_posix() for path in paths]
    slugs = _slugs(relatives)
    boards = [BoardFolder(path, name, slug) for path, name, slug in zip(paths, relatives, slugs, strict=True)]
    return boards, [path.relative_to(folder).as_posix() for path in others]


def _search(folder: Path, depth: int, boards: list[Path], others: list[Path]) -> bool:
    """Whether the folder is a board or holds one; collects the boards, and the folders beside them that are none."""
    records = folder / "records"
    if records.is_dir() and any(records.glob("*.json")):
        boards.append(folder)
        return True
    if depth == 0:
        return False
    children = [
        child
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        if not (child / MANIFEST).is_file()
    ]
    holding = [_search(child, depth - 1, boards, others) for child in children]
    if any(holding):
        others += [child for child, holds in zip(children, holding, strict=True) if not holds]
    return any(holding)


def _slugs(relatives: list[str]) -> list[str]:
    """Distinct names for addresses: the parts of a path, joined."""
    slugs: list[str] = []
    for relative in relatives:
        plain = re.sub(r"[^a-z0-9]+", "-", relative.lower()).strip("-")[:60].strip("-") or "board"
        count = 1
        while (slug := plain if count == 1 else f"{plain}-{count}") in slugs:
            count += 1
        slugs.append(slug)
    return slugs
