"""The files and folders below a path, in one order on every file system; what is passed over is noted, with the reason.

Links are followed. Hidden files and what storage systems add (thumbnails, recycle bins) are no data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ucbench import DataError, Sources

HIDDEN = "hidden"
SYSTEM = "system files"
_AROUND = "links to a folder around them"

#: What NAS, macOS and Windows put into folders, in lower case.
_SYSTEM_NAMES = frozenset({
    "@eadir", "@recently-snapshot", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "__macosx",
    "desktop.ini", "lost+found", "system volume information", "thumbs.db",
})  # fmt: skip
_NAMED = 20


def some(names: Sequence[str], limit: int = _NAMED) -> str:
    """The first ``limit`` names, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


class Listing:
    """The contents of ``root``; ``where`` begins errors.

    Attributes:
        passed_over: names relative to ``root``, by reason.
    """

    def __init__(self, root: Path, where: str) -> None:
        self.root, self.where = root, where
        self.passed_over: dict[str, dict[str, None]] = {}

    def sources(self, served: Sequence[str]) -> Sources:
        """What was noted, for a split that ``served`` holds."""
        return Sources(tuple(served), {reason: tuple(names) for reason, names in self.passed_over.items()}, self.root)

    def name(self, path: Path) -> str:
        """``path`` relative to the root, with ``/`` at the end of a folder; the root itself is ``./``."""
        return path.relative_to(self.root).as_posix() + ("/" if path.is_dir() else "")

    def pass_over(self, path: Path, reason: str) -> None:
        """Note that ``path`` is not read."""
        self.passed_over.setdefault(reason, {})[self.name(path)] = None

    def folders(self, folder: Path) -> list[Path]:
        """The folders in ``folder``, sorted by name."""
        return [entry for entry, is_folder in self._entries(folder) if is_folder]

    def files(self, folder: Path) -> list[Path]:
        """What is in ``folder`` and is no folder, links to nothing included; sorted by name."""
        return [entry for entry, is_folder in self._entries(folder) if not is_folder]

    def below(self, folder: Path) -> list[Path]:
        """As :meth:`files`, in all folders below too; sorted by the path relative to ``folder``."""
        return sorted(self._below(folder, (folder.resolve(),)), key=lambda file: file.relative_to(folder).as_posix())

    def refuse_dangling(self, files: Sequence[Path]) -> None:
        """Refuse links to nothing.

        Raises:
            DataError: naming up to 20 of them.
        """
        if dangling := [self.name(file) for file in files if not file.exists()]:
            raise DataError(
                f"{self.where}: links in {self.root} lead nowhere: {some(dangling)}. Fetch their content, or remove"
                " them."
            )

    def _below(self, folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        for entry, is_folder in self._entries(folder):
            if not is_folder:
                yield entry
            elif (place := entry.resolve()) in above:  # through a link to another folder and back
                self.pass_over(entry, _AROUND)
            else:
                yield from self._below(entry, (*above, place))

    def _entries(self, folder: Path) -> Iterator[tuple[Path, bool]]:
        """The entries of a folder that may be data, and whether they are folders."""
        try:
            with os.scandir(folder) as found:
                entries = sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in found)
        except OSError as error:
            raise DataError(f"{self.where}: {folder} cannot be read: {error}") from error
        for name, is_folder, is_link in entries:
            if name.startswith("."):
                self.pass_over(folder / name, HIDDEN)
            elif name.lower() in _SYSTEM_NAMES:
                self.pass_over(folder / name, SYSTEM)
            elif is_folder and is_link and folder.resolve().is_relative_to((folder / name).resolve()):
                self.pass_over(folder / name, _AROUND)
            else:
                yield folder / name, is_folder


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
