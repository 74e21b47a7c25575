"""The content at a release's path: found, sorted and identified without NumPy or torch."""

from __future__ import annotations

import csv
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from ucbench import DataError, UnmetRequestError, UsageError, sha256_of

#: Suffixes of files that hold arrays.
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth")

#: The list of an exported release: its columns ``file``, ``index``, ``sha256`` and ``split``, if any, are read.
LIST = "labels.csv"
#: The training images of a release in the layout of the Hugging Face hub.
SHARDS = "data/train-*-of-*.parquet"
_IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of a folder's images in their order.

    Read once a process for as long as names, times and sizes stay the same.

    Raises:
        DataError: naming the path if there is nothing, it cannot be read, or it is a folder without images.
        UsageError: if it is a file of another format.
    """
    try:
        if path.is_dir():
            files = shards_in(path) or images_in(path)
            return _sha256_of_folder(path, tuple(_state(file) for file in files))
        check_format(path)
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"release: {path} cannot be read: {error.strerror or error}.") from error


def check_format(path: Path) -> None:
    """Raise UnmetRequestError unless ``path`` is a file, and UsageError unless its suffix is one that is read."""
    if not path.is_file():
        raise UnmetRequestError(f"release: {path} does not exist. Give a file ({_formats()}) or a folder of images.")
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise UsageError(
            f"release: {path} has none of the suffixes that are read ({_formats()}). Save it in one of these formats."
        )


def images_in(folder: Path) -> list[Path]:
    """The images of a folder in the order of the training set.

    Those of a release that ``ucbench export`` wrote are in the order of the indices in its ``labels.csv``; others lie
    directly in the folder and come in the natural order of their names: ``2.png`` before ``10.png``. Hidden files,
    files without an image's suffix and folders within are skipped.

    Raises:
        DataError: naming the folder if it cannot be read or holds no images, or if an exported release is not what its
            list says.
    """
    if (folder / LIST).is_file():
        return _listed(folder)
    try:
        names = [entry.name for entry in folder.iterdir() if _is_image(entry)]
    except OSError as error:
        raise DataError(f"release: {folder} cannot be read: {error.strerror or error}.") from error
    if not names:
        if (folder.parent / LIST).is_file():
            raise DataError(f"release: {folder} is part of an exported release. Name {folder.parent} instead.")
        below = next((entry for entry in sorted(folder.rglob("*")) if _is_image(entry)), None)
        where = "" if below is None else f", though {below.parent.relative_to(folder)}/ does"
        raise DataError(
            f"release: {folder} holds no images{where}. Put them directly into this folder, one for each training"
            f" image, named in the training set's order, or list them in {LIST} as `ucbench export` does."
        )
    return [folder / name for name in sorted(names, key=_natural)]


def shards_in(folder: Path) -> list[Path]:
    """The training shards of a folder in the layout of the Hugging Face hub, in order; none for another folder.

    Raises:
        DataError: if a shard is missing or double, or leads out of the folder.
    """
    files = sorted(folder.glob(SHARDS))
    counts = [match.groups() for file in files if (match := re.search(r"-(\d+)-of-(\d+)(?=[.-])", file.name))]
    if [(int(number), int(count)) for number, count in counts] != [(n, len(files)) for n in range(len(files))]:
        raise DataError(f"release: {folder}/data lacks shards or has some twice. Fetch the release again.")
    if outside := [file for file in files if not file.resolve().is_relative_to(folder.resolve())]:
        raise DataError(f"release: {outside[0]} leads out of {folder}.")
    return files


def _listed(folder: Path) -> list[Path]:
    """The images of an exported release, by index, each compared with its hash."""
    path = folder / LIST
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = sorted(
                (int(row["index"]), row["file"], row["sha256"])
                for row in csv.DictReader(file)
                if row.get("split") in (None, "train")
            )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(
            f"release: {path} cannot be read ({type(error).__name__}: {error}). It must have the columns file, index"
            " and sha256, as `ucbench export` writes it."
        ) from error
    if not rows or [index for index, _, _ in rows] != list(range(len(rows))):
        raise DataError(f"release: the indices in {path} do not count the images from 0. Export the release again.")
    home, images = folder.resolve(), []
    for _, name, digest in rows:
        image = folder / name
        if not image.resolve().is_relative_to(home):
            raise DataError(f"release: {path} lists {name!r}, which is outside {folder}.")
        if not image.is_file() or sha256_of(image) != digest:
            raise DataError(f"release: {image} is missing or not what {path} says. Fetch the release again.")
        images.append(image)
    return images


def _formats() -> str:
    return ", ".join(ARRAY_SUFFIXES)


def _is_image(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.suffix.lower() in _IMAGE_SUFFIXES and entry.is_file()


def _natural(name: str) -> tuple[list[str | int], str]:
    # Every second part is digits, so that texts are compared with texts and numbers with numbers.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _state(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _sha256_of_folder(folder: Path, states: tuple[tuple[Path, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for path, _, _ in states:
        # No name holds a zero byte, and digests have one length: no two folders feed the same bytes.
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        whole.update(name + b"\0" + bytes.fromhex(sha256_of(path)))
    return whole.hexdigest()
