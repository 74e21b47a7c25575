"""The content at a release's path: found, sorted and identified without NumPy or torch."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from ucbench import DataError, UsageError, sha256_of

#: Suffixes of files that hold arrays.
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth")

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
            return _sha256_of_folder(tuple(_state(image) for image in images_in(path)))
        check_format(path)
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"release: {path} cannot be read: {error.strerror or error}.") from error


def check_format(path: Path) -> None:
    """Raise DataError unless ``path`` is a file, and UsageError unless its suffix is one of those that are read."""
    if not path.is_file():
        raise DataError(f"release: {path} does not exist. Give a file ({_formats()}) or a folder of images.")
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise UsageError(
            f"release: {path} has none of the suffixes that are read ({_formats()}). Save it in one of these formats."
        )


def images_in(folder: Path) -> list[Path]:
    """The images directly in the folder, in natural order of their names: ``2.png`` before ``10.png``.

    Hidden files, files without an image's suffix and folders within are skipped.

    Raises:
        DataError: naming the folder if it cannot be read or holds no images.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if _is_image(entry)]
    except OSError as error:
        raise DataError(f"release: {folder} cannot be read: {error.strerror or error}.") from error
    if not names:
        raise DataError(
            f"release: {folder} holds no images. Put them directly into this folder, one for each training image, named"
            " in the training set's order."
        )
    return [folder / name for name in sorted(names, key=_natural)]


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
def _sha256_of_folder(states: tuple[tuple[Path, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for path, _, _ in states:
        # No name holds a zero byte, and digests have one length: no two folders feed the same bytes.
        whole.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(sha256_of(path)))
    return whole.hexdigest()
