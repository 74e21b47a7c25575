"""The files of the site: those of each board, and those over all boards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ucbench.leaderboard.site.across import Digest, digest
from ucbench.leaderboard.site.boardpages import board_files, competitors_first
from ucbench.leaderboard.site.data import Board
from ucbench.leaderboard.site.render import Templates
from ucbench.leaderboard.site.sheets import sheets_of, thumbnail
from ucbench.leaderboard.site.sitepages import site_files

Content = Callable[[], bytes]


def board_and_digest(
    board: Board, sheets: Path, templates: Templates, path: str = ""
) -> tuple[dict[str, Content], Digest]:
    """The files of a board by path, and what pages over all boards show of it.

    Args:
        sheets: the folder of the releases' image sheets; it may be missing.
        path: the board's path below the searched folder.
    """
    by_cell = sheets_of(board.records.values(), sheets)
    files = board_files(board, by_cell, templates)
    sizes = {
        cell: (f"{board.home}sheets/{sheet.path.name}", sheet.width, sheet.height) for cell, sheet in by_cell.items()
    }
    small = thumbnail(by_cell, competitors_first(board))
    if small is not None:
        image = small[0]
        files[f"{board.home}thumbnail.png"] = lambda: image
    return files, digest(board, path or board.title, sizes, small and small[1:])


def files(board: Board, sheets: Path) -> dict[str, Content]:
    """The files of a site of one board by path, each with a function that renders it."""
    templates = Templates(title=board.title)
    contents, light = board_and_digest(board, sheets, templates)
    return {**contents, **site_files([light], templates)}
