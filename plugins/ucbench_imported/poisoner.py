"""The poisoner that crafts nothing: it checks what someone else crafted and passes it on unchanged."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ucbench import LEVELS, Budget, DataError, ImageSet, Perturbation, UsageError, blocks, sizes
from ucbench_imported.content import sha256
from ucbench_imported.sources import Source, open_source, size_text

if TYPE_CHECKING:
    from ucbench import CraftRun, Norm
    from ucbench_imported.params import ReleaseParams

Levels = NDArray[np.float64]
Changes = NDArray[np.int16]

_NORMS: tuple[Norm, ...] = ("linf", "l2", "l0")
#: State of a release that has one perturbation per class; :meth:`ImportedRelease.assign` reads it.
_CLASS_WISE = "class_wise"
#: Floats up to this are taken for the [0, 1] scale: 1, and what arithmetic adds to it.
_UNIT = 1 + 1e-6
#: Share of the radius by which a float perturbation may be too long: what storing it in 16 bits adds.
_STORAGE = 1e-4
#: Values this near to a whole level, in levels, need no rounding.
_WHOLE = 1e-3


class ImportedRelease:
    """Perturbations or images from a file or folder, in the order of the training set.

    A release of a whole training split serves a part of it too, by the places of the images in the split.

    Values are rounded to whole levels and changed in no other way. A float perturbation that fits the budget until it
    is rounded is rounded by :meth:`ucbench.Budget.project`, which stays within the budget.
    """

    def __init__(self, params: ReleaseParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]``, or ``[K, 3, H, W]`` indexed by label, of whole levels within the budget.

        Beyond the result, memory holds a block of images, and what :func:`open_source` has to read whole. Notes
        ``imported``, ``source_kind``, ``scale``, ``file`` (a name without folders), ``sha256`` and ``measured``: the
        largest ``linf`` (levels), ``l2`` ([0, 1] scale) and ``l0`` (pixels) of a change before clipping to 0..255.

        Raises:
            DataError: if the path is missing or damaged, or holds NaN, infinity or images of several sizes.
            UsageError: if it does not fit ``train``, exceeds the budget, or a parameter is needed to read it.
        """
        source = self._part_of(self._laid_out(open_source(self.params.path, self.params.key)), train)
        class_wise = self._is_class_wise(source, train)
        kind, factor = self._reading(source)
        if class_wise and kind == "pictures":
            raise UsageError(
                f"release: {source.where} holds {source.shape[0]} images for {len(train)} training images. Images"
                " are published as they are, so give one for each training image, in the training set's order."
            )
        delta = np.empty(source.shape, np.float32)
        measured = dict.fromkeys(_NORMS, 0.0)
        advance = run.progress("importing", len(delta))
        for block in blocks(source.shape):
            levels = np.multiply(source.read(block), factor, dtype=np.float64)
            if kind == "pictures":
                levels = np.rint(levels) - train.images[block]
            changes = _rounded(levels, run.budget)
            for norm in _NORMS:
                measured[norm] = max(measured[norm], float(sizes(changes, norm).max()))
            delta[block] = changes / np.float32(LEVELS)
            advance(len(changes))
        _check_budget(f"{source.where}, read as {kind}", measured, run.budget)
        run.note("imported", True)
        run.note("source_kind", kind)
        run.note("scale", "levels" if factor == 1 else "unit")
        run.note("file", Path(os.path.abspath(self.params.path)).name)
        run.note("sha256", sha256(self.params.path))
        run.note("measured", {f"{norm}_max": value for norm, value in measured.items()})
        if class_wise:
            return Perturbation(delta, train.known_labels, {_CLASS_WISE: np.array(True)})
        return Perturbation(delta)

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: dict[str, NDArray[Any]], run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The perturbation of each image's class ``[N]`` of a class-wise release; None for others or without labels."""
        return labels if _CLASS_WISE in state else None

    def _laid_out(self, source: Source) -> Source:
        """The source as ``[M, 3, H, W]``."""
        if source.folder:
            for name in ("scale", "layout"):
                if (value := getattr(self.params, name)) != "auto":
                    raise UsageError(f"release: {source.where} is a folder of images. Leave out {name}={value}.")
            return source
        where, shape = source.where, list(source.shape)
        if len(shape) != 4 or 0 in shape or 3 not in (shape[1], shape[3]):
            raise UsageError(
                f"release: {where} has the shape {shape}. It must be [N, 3, H, W] or [N, H, W, 3], and nowhere empty."
            )
        layout = self.params.layout
        if layout == "auto":
            if shape[1] == shape[3]:
                raise UsageError(f"release: {where} has the shape {shape}, read both ways. Say layout=nchw or nhwc.")
            layout = "nchw" if shape[1] == 3 else "nhwc"
        if shape[1 if layout == "nchw" else 3] != 3:
            raise UsageError(f"release: {where} has the shape {shape}, which is not {layout}: leave out layout=.")
        if layout == "nchw":
            return source
        count, height, width, colours = source.shape
        return dataclasses.replace(
            source,
            shape=(count, colours, height, width),
            read=lambda block: source.read(block).transpose(0, 3, 1, 2),
        )

    def _part_of(self, source: Source, train: ImageSet) -> Source:
        """The items of the images of ``train``, if the source is of the whole split that they are a part of."""
        part, count = train.part, source.shape[0]
        if part is None or count != part.count or count in (len(train), len(train.classes)):
            return source

        def read(block: slice) -> NDArray[Any]:
            # One item at a time, since a source reads slices; neighbours are read together.
            rows = part.rows[block]
            runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
            return np.concatenate([source.read(slice(int(run[0]), int(run[-1]) + 1)) for run in runs])

        return dataclasses.replace(source, shape=(len(train), *source.shape[1:]), read=read)

    def _is_class_wise(self, source: Source, train: ImageSet) -> bool:
        """Whether there is one item per class rather than per image."""
        size = source.shape[2], source.shape[3]
        if size != train.size:
            raise UsageError(
                f"release: {source.where} is {size_text(size)} pixels (height x width), and the images of"
                f" {train.name} are {size_text(train.size)}. Load the data set at the size it was crafted for."
            )
        count, images, classes = source.shape[0], len(train), len(train.classes)
        if count not in (images, classes):
            whole = train.part.count if train.part else images
            larger = f" or [{whole}, ...], of the whole split," if whole != images else ""
            raise UsageError(
                f"release: {source.where} has the shape {list(source.shape)}, and {train.name} has {images} images in"
                f" {classes} classes. It must be [{images}, ...], one for each image in the training set's order,"
                f"{larger}"
                f" or [{classes}, ...], one perturbation for each class."
            )
        return count != images

    def _reading(self, source: Source) -> tuple[Literal["perturbations", "pictures"], float]:
        """What the source holds, and what takes its values to 8-bit levels."""
        where, kind, scale = source.where, self.params.kind, self.params.scale
        if source.folder and kind == "perturbations":
            raise UsageError(f"release: {where} is a folder of images. Leave out kind=perturbations.")
        if source.dtype.kind != "f" and scale == "unit":
            raise UsageError(f"release: {where} holds whole numbers, which are levels. Leave out scale=unit.")
        if source.dtype == np.uint8:
            return "pictures" if kind == "auto" else kind, 1.0
        low, high = _range(source)
        if kind == "auto":
            if low >= 0:
                raise UsageError(
                    f"release: {where} holds {source.dtype} from {low:g} to {high:g}, which may be images or"
                    " perturbations. Say kind=pictures or kind=perturbations."
                )
            kind = "perturbations"
        if source.dtype.kind == "f" and scale == "auto":
            scale = "unit" if max(-low, high) <= _UNIT else "levels"
        factor = float(LEVELS) if scale == "unit" else 1.0
        white = LEVELS / factor
        black = 0.0 if kind == "pictures" else -white
        # Half a level beyond is rounded back.
        if round(low * factor) < round(black * factor) or round(high * factor) > LEVELS:
            raise UsageError(
                f"release: {where} runs from {low:g} to {high:g}. As {kind} it must lie within {black:g} and {white:g}"
                f" ({'levels' if factor == 1 else '1 is white'}): correct kind= or scale=, or the file."
            )
        return kind, factor


def _check_budget(what: str, measured: dict[Norm, float], budget: Budget) -> None:
    if budget.epsilon is None or measured[budget.norm] <= budget.epsilon:
        return
    largest = measured[budget.norm]
    size, remedy = {
        "linf": (f"{largest:g} levels", f"--epsilon {math.ceil(largest)} or norm=unbounded"),
        # Rounded up: to nearest, it could read as if it were within the budget.
        "l2": (f"{math.ceil(largest * 1e4) / 1e4:g} on the [0, 1] scale", "norm=linf or norm=unbounded"),
        "l0": (f"{largest:g} pixels", "norm=linf or norm=unbounded"),
    }[budget.norm]
    raise UsageError(
        f"release: the largest change in {what}, is {size} ({budget.norm}), beyond the budget of {budget}. An"
        f" imported release is not altered: give {remedy}, or correct how it is read, or its order."
    )


def _range(source: Source) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        DataError: if a value is NaN or infinite.
    """
    low, high = math.inf, -math.inf
    for block in blocks(source.shape):
        values = source.read(block)
        # NaN shows in both, infinity in one of them, without an array of truth values.
        least, most = float(values.min()), float(values.max())
        if not (math.isfinite(least) and math.isfinite(most)):
            place = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
            raise DataError(
                f"release: {source.where} holds {values[tuple(place)]} in item {block.start + place[0]}. All values"
                " must be finite: craft that item again."
            )
        low, high = min(low, least), max(high, most)
    return low, high


def _rounded(levels: Levels, budget: Budget) -> Changes:
    """Levels ``[B, 3, H, W]`` to whole ones.

    To the nearest, unless that alone would lead a perturbation of fractional values out of the budget.
    """
    changes = np.rint(levels).astype(np.int16)
    if budget.epsilon is None or budget.norm == "l0":  # rounding leads no further pixel away from 0
        return changes
    beyond = np.flatnonzero(sizes(changes, budget.norm) > budget.epsilon)
    if beyond.size:
        exact = levels[beyond]
        fractional = np.abs(exact - changes[beyond]).max(axis=(1, 2, 3)) > _WHOLE
        fitting = fractional & (_exact_sizes(exact, budget.norm) <= budget.epsilon * (1 + _STORAGE))
        if fitting.any():
            delta = (exact[fitting] / LEVELS).astype(np.float32)
            changes[beyond[fitting]], _ = budget.project(delta)
    return changes


def _exact_sizes(levels: Levels, norm: Norm) -> Levels:
    """Size of each ``[B, 3, H, W]`` before rounding, in the norm's units."""
    if norm == "l2":
        return np.asarray(np.sqrt(np.square(levels).sum(axis=(1, 2, 3))) / LEVELS)
    return np.asarray(np.abs(levels).max(axis=(1, 2, 3)))
