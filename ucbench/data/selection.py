"""Parts of an image set: class-balanced subsets, stratified splits, the protected part of a mixture.

Subsets and splits draw from ``numpy.random.RandomState``, whose streams are frozen (NEP 19); those of ``Generator`` may
change between NumPy releases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import ImageSet, Labels
from ucbench.errors import UnmetRequestError
from ucbench.store.keys import derive_seed

Indices = NDArray[np.int64]


def balanced_indices(labels: Labels, classes: Sequence[str], per_class: int, seed: int, name: str = "") -> Indices:
    """Draw ``per_class`` images of every class; ascending indices into ``labels``.

    Draws of one seed are nested: a larger ``per_class`` includes the images of a smaller one.

    Args:
        labels: int64 ``[N]`` in ``0..K-1``.
        classes: the K class names.
        per_class: images per class, at least 1.
        seed: ``0 .. 2**32 - 1``.
        name: the set's name in errors.

    Raises:
        UnmetRequestError: if a class has fewer images; the text names it.
    """
    shuffled = _shuffled_classes(labels, len(classes), seed)
    short = [f"{classes[c]!r} has {len(rows)}" for c, rows in enumerate(shuffled) if len(rows) < per_class]
    if short:
        more = f", and {len(short) - 5} more classes have too few" if len(short) > 5 else ""
        raise UnmetRequestError(
            f"{name or 'The set'}: {per_class} images per class are requested, but class {', '.join(short[:5])}{more}."
        )
    return np.sort(np.concatenate([rows[:per_class] for rows in shuffled]))


def stratified_split(
    labels: Labels, classes: Sequence[str], fraction: float, seed: int, name: str = ""
) -> tuple[Indices, Indices]:
    """Split every class by ``fraction``, rounded, with at least one image in each part.

    Args:
        labels: int64 ``[N]`` in ``0..K-1``; classes without images are skipped.
        classes: the K class names.
        fraction: share of the second part, in (0, 1).
        seed: ``0 .. 2**32 - 1``.
        name: the set's name in errors.

    Returns:
        Ascending indices of the first part and of the second.

    Raises:
        UnmetRequestError: if a class has a single image; the text names it.
    """
    first, second = [], []
    for label, rows in enumerate(_shuffled_classes(labels, len(classes), seed)):
        if len(rows) == 1:
            raise UnmetRequestError(
                f"{name or 'The set'}: class {classes[label]!r} has a single image; a split needs at least two."
            )
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1) if len(rows) else 0
        first.append(rows[count:])
        second.append(rows[:count])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def balanced_subset(images: ImageSet, per_class: int, seed: int) -> ImageSet:
    """``per_class`` images of every class, in the order of the set; see :func:`balanced_indices`."""
    return images.subset(balanced_indices(images.known_labels, images.classes, per_class, seed, images.name))


def split_validation(images: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split ``fraction`` of every class off for choosing hyper-parameters: ``(training, validation)``.

    Both keep the order of the set; see :func:`stratified_split`.
    """
    training, validation = stratified_split(images.known_labels, images.classes, fraction, seed, images.name)
    return images.subset(training), images.subset(validation, name=f"{images.name} validation")


def set_aside(images: ImageSet, count: int, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Split ``count`` images off, stratified by class: ``(rest, trusted)``, both in the order of the set.

    Draws of one seed are nested: a larger count includes the images of a smaller one.

    Raises:
        UnmetRequestError: if the rest would lack a class; the text names it.
    """
    shuffled = _shuffled_classes(images.known_labels, len(images.classes), seed)
    rows = np.concatenate(shuffled)
    # In a stratified order, the k-th of n images of a class stands at the share (k + 1/2) / n.
    position = np.concatenate([(np.arange(len(members)) + 0.5) / max(1, len(members)) for members in shuffled])
    trusted = np.sort(rows[np.argsort(position, kind="stable")[:count]])
    rest = np.setdiff1d(np.arange(len(images), dtype=np.int64), trusted)
    after = np.bincount(images.known_labels[rest], minlength=len(images.classes))
    before = np.bincount(images.known_labels, minlength=len(images.classes))
    if (after[before > 0] == 0).any():
        name = images.classes[int(np.flatnonzero((after == 0) & (before > 0))[0])]
        raise UnmetRequestError(
            f"{images.name}: setting {count} of {len(images)} images aside leaves none of class {name!r}."
        )
    return images.subset(rest), images.subset(trusted, name=f"{images.name} trusted")


def _shuffled_classes(labels: Labels, classes: int, seed: int) -> list[Indices]:
    """The rows of every class, in an order that depends on seed, class and number of rows."""
    return [
        np.random.RandomState([seed, label]).permutation(np.flatnonzero(labels == label)).astype(np.int64)
        for label in range(classes)
    ]


def protected_part(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Ascending indices of the protected part of a training set with these labels ``[N]``.

    Random, stratified by class (``round(fraction * size)`` images of each), nested (a larger fraction includes the
    images of a smaller one), and the same for every poisoner with the same seed.
    """
    rng = np.random.default_rng(derive_seed("mixture", seed))
    rows = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        rows.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(rows)).astype(np.int64)
