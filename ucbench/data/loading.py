"""From a data set component to the two image sets a benchmark cell starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from ucbench.data.framed import FramedDataset
from ucbench.data.imageset import ImageSet
from ucbench.data.params import DatasetParams
from ucbench.data.selection import balanced_subset, split_validation
from ucbench.errors import ContractError, DataError
from ucbench.plugins.params import Params

if TYPE_CHECKING:
    from ucbench.store.store import Store


@runtime_checkable
class Dataset(Protocol):
    """``Class(params)``; loads image sets by split.

    May also have ``note: str``, set by :meth:`load`: how its images were brought to one size, to be printed.
    """

    def load(self, split: Literal["train", "test"]) -> ImageSet:
        """Read one split.

        Raises:
            DataError: naming the file or column that cannot be read.
        """


@dataclasses.dataclass(frozen=True)
class LoadedDataset:
    """What :func:`load_dataset` hands over.

    Attributes:
        train: the training split.
        test: the test split, or the validation part of the training split where ``validation=`` asked for it.
        note: what was decided on the way (size, subset, dropped classes), one line to be printed and
            recorded.
        trusted: clean training images granted to the exploiter, which are not in ``train``; None if there are none.
    """

    train: ImageSet
    test: ImageSet
    note: str
    trusted: ImageSet | None = None


def load_dataset(dataset: Dataset, params: Params, store: Store | None = None) -> LoadedDataset:
    """Load both splits and apply ``validation``, ``train_per_class`` and ``test_per_class``.

    With ``validation`` the test split is not even read. Subsets are drawn after the validation part is set
    aside, so that part does not depend on how many training images are asked for. Parameters that are not
    :class:`~ucbench.data.DatasetParams` ask for none of this.

    **Classes without pictures.** A class that has pictures in neither split is dropped and the labels close
    up: a folder cut out of a larger collection often still lists all its class names, and nothing is lost
    with those. A class with test but without training pictures is refused: no victim could get those right,
    which would lower every accuracy for a reason no table shows. Further label sets keep their class names as
    they are.

    Args:
        dataset: the component.
        params: what it was built with.
        store: where the pictures of a :class:`~ucbench.data.FramedDataset` are kept decoded; None: nowhere.

    Raises:
        DataError: if a split is unreadable, too small or unlabelled, the splits disagree about the classes,
            training pictures show a single class, or a class has too few images.
        ContractError: if the component returned something other than image sets of one size.
    """
    asked = params if isinstance(params, DatasetParams) else DatasetParams()
    train = _loaded(dataset, "train", store)
    notes = [str(getattr(dataset, "note", ""))]
    if asked.validation is None:
        test = _loaded(dataset, "test", store)
        _check_agreement(train, test)
        train, test, dropped = _without_empty_classes(train, test)
    else:
        train, _, dropped = _without_empty_classes(train, train)
        count = len(train)
        train, test = split_validation(train, asked.validation, asked.subset_seed)
        notes.append(f"{len(test)} of the {count} training images are the test split (validation={asked.validation})")
    if dropped:
        notes.append(f"without {_some(dropped)}, of which there are no pictures")
    if len(train.classes) < 2:
        raise DataError(f"{train.name}: all pictures are of one class, {train.classes[0]!r}; at least two are needed.")
    if asked.train_per_class is not None:
        train = balanced_subset(train, asked.train_per_class, asked.subset_seed)
        notes.append(f"{asked.train_per_class} training images a class")
    if asked.test_per_class is not None:
        test = balanced_subset(test, asked.test_per_class, asked.subset_seed)
        notes.append(f"{asked.test_per_class} test images a class")
    if asked.draws:
        notes.append(f"drawn with subset_seed={asked.subset_seed}")
    return LoadedDataset(train, test, "; ".join(note for note in notes if note))


def _loaded(dataset: Dataset, split: Literal["train", "test"], store: Store | None) -> ImageSet:
    images = dataset.load(split, store) if isinstance(dataset, FramedDataset) else dataset.load(split)
    if not isinstance(images, ImageSet):
        raise ContractError(
            f"{type(dataset).__qualname__}.load({split!r}) returned {type(images).__name__}, not ImageSet."
        )
    if images.labels is None:
        raise DataError(f"{images.name}: the {split} split has no labels; a data set needs them for scoring.")
    fewest = 2 if split == "train" else 1
    if len(images) < fewest:
        raise DataError(f"{images.name}: the {split} split has {len(images)} images; at least {fewest} are needed.")
    return images


def _check_agreement(train: ImageSet, test: ImageSet) -> None:
    if train.size != test.size:
        raise ContractError(f"{train.name} is {train.size} pixels, {test.name} {test.size}; the splits need one size.")
    if train.classes != test.classes:
        raise DataError(
            f"{train.name} and {test.name} disagree about the classes: {_difference(train.classes, test.classes)}."
        )
    namings = [{key: entry.classes for key, entry in images.label_sets.items()} for images in (train, test)]
    if namings[0] != namings[1]:
        differing = sorted(k for k in namings[0].keys() | namings[1].keys() if namings[0].get(k) != namings[1].get(k))
        raise DataError(f"{train.name} and {test.name} disagree about the label sets {', '.join(differing)}.")


def _without_empty_classes(train: ImageSet, test: ImageSet) -> tuple[ImageSet, ImageSet, tuple[str, ...]]:
    """Both sets under the classes that have pictures, and the names of the others."""
    present = np.bincount(train.known_labels, minlength=len(train.classes)) > 0
    only_tested = [train.classes[label] for label in np.unique(test.known_labels) if not present[label]]
    if only_tested:
        raise DataError(
            f"{test.name} shows {_some(only_tested)}, of which {train.name} has no pictures to learn from."
            " Add training pictures, or take these out of the test split."
        )
    dropped = tuple(name for name, there in zip(train.classes, present, strict=True) if not there)
    if not dropped:
        return train, test, ()
    renumbered = np.cumsum(present) - 1
    kept = tuple(name for name, there in zip(train.classes, present, strict=True) if there)
    train, test = (images.with_labels(renumbered[images.known_labels], kept) for images in (train, test))
    return train, test, dropped


def _difference(first: Sequence[str], second: Sequence[str]) -> str:
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return f"class {index} is {a!r} in one and {b!r} in the other"
    return f"one has {len(first)}, the other {len(second)}"


def _some(names: Sequence[str], limit: int = 5) -> str:
    noun = "the class" if len(names) == 1 else "the classes"
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"{noun} {shown}" + (f" and {len(names) - limit} more" if len(names) > limit else "")
