"""Folders that ``ucbench export`` wrote: where their images are, and what the class folders stand for."""

from __future__ import annotations

import csv
from pathlib import Path

from ucbench import DataError

#: The list beside the images, and the columns by which it is known; other data sets have a file of this name too.
_LIST = "labels.csv"
_COLUMNS = {"file", "class", "label", "index", "protected", "sha256"}
#: The folder of the class folders. An exporter names them by number and a part of the name, such as ``0-cat``.
_IMAGES = "images"


def images_of(folder: Path) -> Path:
    """The folder of the class folders: that of the images if ``folder`` is an export, else ``folder``."""
    images = folder / _IMAGES
    return images if images.is_dir() and _is_list(folder / _LIST) else folder


def class_names(folder: Path) -> dict[str, str]:
    """Class names by class folder, if ``folder`` holds the class folders of an export; else empty.

    Raises:
        DataError: if the list of the export is damaged or gives a folder two classes; the text names it.
    """
    place = folder.resolve()
    file = place.parent / _LIST
    if place.name != _IMAGES or not _is_list(file):
        return {}
    names: dict[str, str] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                _, name, _ = row["file"].split("/")
                if names.setdefault(name, row["class"]) != row["class"]:
                    raise ValueError(f"{name}/ has two classes, {names[name]!r} and {row['class']!r}")
    except (OSError, ValueError, AttributeError, csv.Error) as error:
        raise DataError(f"imagefolder: {file} is damaged: {error}. Export the release again.") from error
    return names


def _is_list(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as stream:
            return set(next(csv.reader(stream), ())) >= _COLUMNS
    except (OSError, csv.Error):
        return False
