"""Folders that ``ucbench export`` wrote: where their images are, and what the class folders stand for."""

from __future__ import annotations

import csv
from pathlib import Path

from ucbench import DataError

#: The list beside the images, and the columns by which it is known; other data sets have a file of this name too.
_LIST = "labels.csv"
_COLUMNS = {"file", "class", "label", "index", "protected", "sha256"}
#: The folder of the class folders in the plain layout; in others they are in a folder of the split.
_IMAGES = "images"


def images_of(folder: Path) -> Path:
    """The folder of the class folders: that of the images if ``folder`` is a plain export, else ``folder``."""
    images = folder / _IMAGES
    return images if images.is_dir() and _is_list(folder / _LIST) else folder


def class_names(folder: Path) -> dict[str, str]:
    """Class names by class folder, in the order of the labels, if ``folder`` holds those of an export; else empty.

    Raises:
        DataError: if the list of the export is damaged or gives a folder two classes; the text names it.
    """
    place = folder.resolve()
    file = place.parent / _LIST
    if not _is_list(file):
        return {}
    names: dict[str, tuple[int, str]] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                top, name, _ = row["file"].split("/")
                stated = int(row["label"]), row["class"]
                if top == place.name and names.setdefault(name, stated) != stated:
                    raise ValueError(f"{name}/ has two classes, {names[name][1]!r} and {row['class']!r}")
    except (OSError, ValueError, AttributeError, TypeError, csv.Error) as error:
        raise DataError(f"imagefolder: {file} is damaged: {error}. Export the release again.") from error
    return {name: stated for name, (_, stated) in sorted(names.items(), key=lambda item: item[1])}


def _is_list(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as stream:
            return set(next(csv.reader(stream), ())) >= _COLUMNS
    except (OSError, csv.Error):
        return False
