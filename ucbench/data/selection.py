"""Choosing parts of an image set: class-balanced subsets and stratified splits.

Draws come from ``numpy.random.RandomState``, whose streams are frozen (NEP 19); those of ``Generator`` may
change between NumPy releases, and with them every subset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import ImageSet, Labels
from ucbench.errors import DataError
from ucbench.store.keys import derive_seed

Indices = NDArray[np.int64]


def balanced_indices(labels: Labels, classes: Sequence[str], per_class: int, seed: int, name: str = "") -> Indices:
    """Draw ``per_class`` images of every class; rising indices into ``labels``.

    Draws of one seed are nested: what a smaller ``per_class`` takes, a larger one takes too.

    Args:
        labels: int64 ``[N]`` in ``0..K-1``.
        classes: the K class names.
        per_class: images a class, at least 1.
        seed: ``0 .. 2**32 - 1``.
        name: what errors call the set.

    Raises:
        DataError: naming the classes that have fewer images.
    """
    shuffled = _shuffled_classes(labels, len(classes), seed)
    short = [f"{classes[c]!r} has {len(rows)}" for c, rows in enumerate(shuffled) if len(rows) < per_class]
    if short:
        more = f", and {len(short) - 5} more classes have too few" if len(short) > 5 else ""
        raise DataError(
            f"{name or 'The set'}: {per_class} images a class were asked for, but class {', '.join(short[:5])}{more}."
        )
    return np.sort(np.concatenate([rows[:per_class] for rows in shuffled]))


def stratified_split(
    labels: Labels, classes: Sequence[str], fraction: float, seed: int, name: str = ""
) -> tuple[Indices, Indices]:
    """Split every class by ``fraction``, rounded, but at least one image on either side.

    Args:
        labels: int64 ``[N]`` in ``0..K-1``; classes without images are passed over.
        classes: the K class names.
        fraction: share of the second part, in (0, 1).
        seed: ``0 .. 2**32 - 1``.
        name: what errors call the set.

    Returns:
        Rising indices of the first part and of the second.

    Raises:
        DataError: naming a class with a single image.
    """
    first, second = [], []
    for label, rows in enumerate(_shuffled_classes(labels, len(classes), seed)):
        if len(rows) == 1:
            raise DataError(
                f"{name or 'The set'}: class {classes[label]!r} has a single image,"
                " which cannot stand on both sides of a split."
            )
        taken = min(max(round(fraction * len(rows)), 1), len(rows) - 1) if len(rows) else 0
        first.append(rows[taken:])
        second.append(rows[:taken])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def balanced_subset(images: ImageSet, per_class: int, seed: int) -> ImageSet:
    """``per_class`` images of every class, in the order of the set; see :func:`balanced_indices`."""
    return images.subset(balanced_indices(images.known_labels, images.classes, per_class, seed, images.name))


def split_validation(images: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Set ``fraction`` of every class aside: ``(training, validation)``, both in the order of the set.

    Hyper-parameters are chosen on the second part, so that the test split stays unseen; see
    :func:`stratified_split`.
    """
    kept, held = stratified_split(images.known_labels, images.classes, fraction, seed, images.name)
    return images.subset(kept), images.subset(held, name=f"{images.name} validation")


def set_aside(images: ImageSet, count: int, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Set ``count`` images aside, every class by its share: ``(the rest, those)``, both in the order of the set.

    Draws of one seed are nested: what a smaller count takes, a larger one takes too.

    Raises:
        DataError: if a class would be left without an image.
    """
    shuffled = _shuffled_classes(images.known_labels, len(images.classes), seed)
    rows = np.concatenate(shuffled)
    # The k-th of n images of a class comes where it is due in a stratified order: after the share (k + 1/2) / n.
    due = np.concatenate([(np.arange(len(members)) + 0.5) / max(1, len(members)) for members in shuffled])
    taken = np.sort(rows[np.argsort(due, kind="stable")[:count]])
    rest = np.setdiff1d(np.arange(len(images), dtype=np.int64), taken)
    left = np.bincount(images.known_labels[rest], minlength=len(images.classes))
    before = np.bincount(images.known_labels, minlength=len(images.classes))
    if (left[before > 0] == 0).any():
        name = images.classes[int(np.flatnonzero((left == 0) & (before > 0))[0])]
        raise DataError(f"{images.name}: setting {count} of {len(images)} images aside leaves none of class {name!r}.")
    return images.subset(rest), images.subset(taken, name=f"{images.name} trusted")


def _shuffled_classes(labels: Labels, classes: int, seed: int) -> list[Indices]:
    """For every class its rows in an order that depends on the seed, the class and how many there are."""
    return [
        np.random.RandomState([seed, label]).permutation(np.flatnonzero(labels == label)).astype(np.int64)
        for label in range(classes)
    ]


def protected_part(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Indices, ascending, of the protected share of a training set with these labels ``[N]``.

    Random, stratified by class (every class gives ``round(fraction * its size)`` images), nested (a smaller fraction's
    images are among a larger one's), and the same for every poisoner with the same seed.
    """
    rng = np.random.default_rng(derive_seed("mixture", seed))
    chosen = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
