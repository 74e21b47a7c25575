"""Image sets: images of one size with labels, the value that stages pass on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ucbench.errors import DataError

UInt8Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Another labeling of the same images: int64 ``[N]`` in ``0..len(classes)-1``, and the class names."""

    labels: Labels
    classes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Which images of a whole set of ``count`` a part holds: ``rows``, int64 ``[N]``, in the order of the part."""

    rows: Labels
    count: int


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size in memory, with their labels.

    Attributes:
        images: uint8 ``[N, 3, H, W]``, RGB; read-only.
        labels: int64 ``[N]`` in ``0..K-1``, or None where the component may not see labels; read-only.
        classes: the K class names; where ``labels`` is None, empty or what the component may know of them.
        label_sets: further labels of the same images (``coarse``, ``fine``), by name.
        name: the set's name in messages and tables.
        flip: whether a mirrored image keeps its label; recipes flip horizontally only then.
        part: where the images stood in the set that they were first cut out of, such as a whole training split; None
            for a set that was not cut out of another.

    Raises:
        DataError: if images or labels have a wrong type, shape or range.
    """

    images: UInt8Images
    labels: Labels | None
    classes: tuple[str, ...] = ()
    label_sets: Mapping[str, LabelSet] = dataclasses.field(default_factory=dict)
    name: str = ""
    flip: bool = True
    part: Part | None = None

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise DataError(
                f"{self.name or 'image set'}: images must be uint8 [N, 3, H, W],"
                f" got {images.dtype} {list(images.shape)}."
            )
        object.__setattr__(self, "images", _read_only(images))
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked_labels(self.labels, len(images), len(self.classes), self.name))
        for key, entry in self.label_sets.items():
            _checked_labels(entry.labels, len(images), len(entry.classes), f"{self.name} label set {key!r}")
        object.__setattr__(self, "label_sets", MappingProxyType(dict(self.label_sets)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def known_labels(self) -> Labels:
        """The labels, for steps that need them.

        Raises:
            DataError: if the set has none.
        """
        if self.labels is None:
            raise DataError(f"{self.name or 'image set'} has no labels here, and this step needs them.")
        return self.labels

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels, class names, further label sets and ``flip``, in hexadecimal."""
        digest = hashlib.sha256()
        digest.update(repr((self.images.shape, self.classes, self.flip)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
        for key in sorted(self.label_sets):
            entry = self.label_sets[key]
            digest.update(repr((key, entry.classes)).encode())
            digest.update(np.ascontiguousarray(entry.labels).data)
        return digest.hexdigest()

    def subset(self, indices: NDArray[np.intp] | NDArray[np.int64], name: str | None = None) -> ImageSet:
        """The images at ``indices`` (int ``[M]``), in that order, with all their labels."""
        return dataclasses.replace(
            self,
            images=self.images[indices],
            labels=None if self.labels is None else self.labels[indices],
            label_sets={key: LabelSet(entry.labels[indices], entry.classes) for key, entry in self.label_sets.items()},
            name=self.name if name is None else name,
            part=Part(np.arange(len(self), dtype=np.int64)[indices], len(self))
            if self.part is None
            else Part(self.part.rows[indices], self.part.count),
        )

    def with_images(self, images: UInt8Images) -> ImageSet:
        """The same set with other pixels (uint8, same shape).

        Raises:
            DataError: if the shape differs.
        """
        if images.shape != self.images.shape:
            raise DataError(f"{self.name}: the new images have shape {images.shape}, not {self.images.shape}.")
        return dataclasses.replace(self, images=images)

    def with_labels(self, labels: Labels | None, classes: tuple[str, ...] = ()) -> ImageSet:
        """The same images with other labels (int64 ``[N]``); None removes labels, classes and further label sets."""
        if labels is None:
            return dataclasses.replace(self, labels=None, classes=(), label_sets={})
        return dataclasses.replace(self, labels=labels, classes=classes)


def _read_only(array: NDArray) -> NDArray:  # type: ignore[type-arg]
    view = array.view()
    view.flags.writeable = False
    return view


def _checked_labels(labels: Labels, count: int, classes: int, name: str) -> Labels:
    if getattr(labels, "dtype", None) != np.int64 or labels.shape != (count,):
        given = f"{labels.dtype} {list(labels.shape)}" if hasattr(labels, "dtype") else f"a {type(labels).__name__}"
        raise DataError(f"{name}: labels must be int64 [{count}], got {given}.")
    if count and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"{name}: labels run from {labels.min()} to {labels.max()}, but there are {classes} class names."
        )
    return _read_only(labels)
