"""One photo from its file to its copy: read, perturb, write, re-open and measure. Imports no torch."""

from __future__ import annotations

import math
import os
import signal
import threading
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucbench.data.budget import LEVELS
from ucbench.data.distortion import PSNR_CAP, measure
from ucbench.data.images import Pixels
from ucbench.errors import ContractError, DataError
from ucbench.protection.manifest import UNCHANGED, LeftOut, Output, ProtectedPhoto
from ucbench.protection.photo import (
    LOSSY,
    has_directories,
    opaque,
    read_photo,
    register_heic,
    write_photo,
    written_type,
)
from ucbench.protection.stretch import perturbed
from ucbench.store.files import digest_of

#: Rows that are compared at once; side of the tiles that SSIM is measured on, and tiles along each side.
_ROWS, _TILE, _ACROSS = 64, 256, 4


@dataclass(frozen=True, eq=False)
class Task:
    """One photo to protect.

    Attributes:
        photos: the folder of photos; ``out``: of copies.
        source: the photo below ``photos``; ``target``: its copy below ``out``.
        sha256: of the photo's file; ``type``: Pillow's name of its type.
        number: of its pattern; ``changes``: the pattern, int16 ``[3, W, W]``.
    """

    photos: Path
    out: Path
    source: str
    target: str
    sha256: str
    type: str
    number: int
    changes: NDArray[np.int16]
    output: Output


def protect_photo(task: Task) -> ProtectedPhoto | LeftOut:
    """Write the copy of a photo and measure the file; a photo that cannot be read or written has no copy.

    Raises:
        StoreError: if the disk does not take the copy.
    """
    source, target = task.photos / task.source, task.out / task.target
    try:
        photo = read_photo(source, keep_gps=task.output.keep_gps)
        type = written_type(task.output.format, task.type)
        if type == "JPEG":
            photo = opaque(photo)
        pixels = perturbed(photo.pixels, task.changes)
        rows = (slice(start, start + _ROWS) for start in range(0, len(pixels), _ROWS))
        is_unchanged = all(np.array_equal(pixels[part], photo.pixels[part]) for part in rows)
        write_photo(replace(photo, pixels=pixels), target, type, task.output.quality)
        del pixels  # of a large photo this is much
        values = compared(photo.pixels, read_photo(target).pixels)
    except DataError as error:
        return LeftOut(path=task.source, reason=reason_of(error, source, target), sha256=task.sha256)
    if type not in LOSSY and values["linf"] > (bound := int(np.abs(task.changes).max())):
        raise ContractError(f"{target} differs by {values['linf']} levels from its original, and {bound} are allowed.")
    height, width = photo.pixels.shape[:2]
    notes = [f"{type} changes values beyond the perturbation"] if type in LOSSY else []
    if type == "TIFF" and has_directories(photo.exif):
        notes.append("only the main metadata kept: TIFF copies have no camera details and no position")
    if is_unchanged:
        notes.append(UNCHANGED)
    return ProtectedPhoto(
        source=task.source,
        source_sha256=task.sha256,
        source_bytes=source.stat().st_size,
        output=task.target,
        output_sha256=digest_of(target),
        width=width,
        height=height,
        pattern=task.number,
        notes=(*photo.notes, *notes),
        **values,
    )


def reason_of(error: DataError, *files: Path) -> str:
    """Why a photo has no copy, without the folders of the ``files`` that the error names."""
    reason = str(error)
    for file in files:
        reason = reason.removeprefix(f"{file}: ").replace(str(file), file.name)
    return reason


def compared(original: Pixels, copy: Pixels) -> dict[str, Any]:
    """What differs between two photos, uint8 ``[H, W, 3]``: ``linf``, ``changed``, ``psnr`` and ``ssim``.

    See :class:`ucbench.protection.manifest.ProtectedPhoto`. SSIM takes long: of photos of more than a megapixel
    it is the mean over evenly spaced tiles.

    Raises:
        DataError: if the sizes differ.
    """
    if original.shape != copy.shape:
        raise DataError(f"the copy: re-opened, it has another size than the original: {list(copy.shape)}")
    largest = changed = squares = 0
    for start in range(0, len(original), _ROWS):
        rows = slice(start, start + _ROWS)
        difference = np.subtract(copy[rows], original[rows], dtype=np.int32)
        largest = max(largest, int(np.abs(difference).max()))
        changed += int(np.count_nonzero(difference))
        squares += int(np.square(difference).sum(dtype=np.int64))
    psnr = min(PSNR_CAP, 10 * math.log10(LEVELS**2 * original.size / squares)) if squares else PSNR_CAP
    tiles = [measure(_image(original[tile]), _image(copy[tile]))["ssim"] for tile in _tiles(*original.shape[:2])]
    return {
        "linf": largest,
        "changed": round(changed / original.size, 6),
        "psnr": round(psnr, 4),
        "ssim": round(sum(tiles) / len(tiles), 6),
    }


def _tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    if height * width <= (_TILE * _ACROSS) ** 2:
        return [(slice(0, height), slice(0, width))]
    down, across = (
        np.unique(np.linspace(0, max(0, side - _TILE), _ACROSS).astype(int)).tolist() for side in (height, width)
    )
    return [(slice(y, y + _TILE), slice(x, x + _TILE)) for y in down for x in across]


def _image(tile: Pixels) -> Pixels:
    return np.ascontiguousarray(tile.transpose(2, 0, 1)[None])


def start_worker() -> None:
    """Prepare a process that protects photos: it leaves interruptions to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    register_heic()
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
