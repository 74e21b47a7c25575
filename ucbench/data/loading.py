"""Loading a data set component: the training and test set that a cell starts from."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ucbench.data.framed import FramedDataset, SplitName
from ucbench.data.imageset import ImageSet
from ucbench.data.inventory import Inventory, some
from ucbench.data.params import DatasetParams
from ucbench.data.selection import balanced_subset, split_validation
from ucbench.errors import ContractError, DataError
from ucbench.plugins.params import Params

if TYPE_CHECKING:
    from ucbench.store.store import Store


@runtime_checkable
class Dataset(Protocol):
    """``Class(params)``; loads image sets by split.

    Optional attributes, set by :meth:`load`, printed and recorded: ``note: str``, how its images were brought to one
    size; ``sources: Mapping[str, Sources]``, by split where its images were found and what was passed over.
    """

    def load(self, split: SplitName) -> ImageSet:
        """Read one split.

        Raises:
            DataError: if a file or column cannot be read; the text names it.
        """


@dataclasses.dataclass(frozen=True)
class LoadedDataset:
    """Result of :func:`load_dataset`.

    Attributes:
        train: the training split.
        test: the test split, or with ``validation=`` a part of the training split.
        note: size, subset and dropped classes in one line, printed and written into the record.
        trusted: clean training images given to the exploiter, which are not in ``train``, or None.
        inventory: images by class, where they were found, what was passed over and what repeats.
    """

    train: ImageSet
    test: ImageSet
    note: str
    trusted: ImageSet | None = None
    inventory: Inventory = dataclasses.field(default_factory=Inventory)


def load_dataset(dataset: Dataset, params: Params, store: Store | None = None) -> LoadedDataset:
    """Load both splits and apply ``validation``, ``train_per_class`` and ``test_per_class``.

    With ``validation`` the test split is not read. The validation part is split off before subsets are drawn, so it
    does not depend on their size. Parameters that are not :class:`~ucbench.data.params.DatasetParams` change nothing.

    **Classes without images.** A class without images in both splits is dropped and the labels are renumbered: a folder
    cut out of a larger collection often still lists all class names. A class with test but without training images is
    an error: no victim could learn it, and every accuracy would be lower for a reason that no table shows. Further
    label sets keep their class names.

    Args:
        dataset: the component.
        params: its parameters.
        store: where the decoded images of a :class:`~ucbench.data.framed.FramedDataset` are stored, or None.

    Raises:
        DataError: if a split is unreadable, too small or unlabelled, the splits have different classes, there is only
            one class, or a class has too few images.
        ContractError: if the component does not return image sets of one size.
    """
    options = params if isinstance(params, DatasetParams) else DatasetParams()
    train = _loaded(dataset, "train", store)
    notes = [str(getattr(dataset, "note", ""))]
    if options.validation is None:
        test = _with_classes_of(train, _loaded(dataset, "test", store))
        _check_agreement(train, test)
        train, test, dropped = _without_empty_classes(train, test)
    else:
        train, _, dropped = _without_empty_classes(train, train)
        count = len(train)
        train, test = split_validation(train, options.validation, options.subset_seed)
        notes.append(f"{len(test)} of the {count} training images are the test split (validation={options.validation})")
    if dropped:
        notes.append(f"without {_some(dropped)}, of which there are no images")
    if len(train.classes) < 2:
        raise DataError(f"{train.name}: all images are of one class, {train.classes[0]!r}; at least two are needed.")
    if options.train_per_class is not None:
        train = balanced_subset(train, options.train_per_class, options.subset_seed)
        notes.append(f"{options.train_per_class} training images a class")
    if options.test_per_class is not None:
        test = balanced_subset(test, options.test_per_class, options.subset_seed)
        notes.append(f"{options.test_per_class} test images a class")
    if options.draws:
        notes.append(f"drawn with subset_seed={options.subset_seed}")
    inventory = Inventory.of(train, test, getattr(dataset, "sources", {}))
    if untested := [name for name, count in inventory.test.per_class.items() if not count]:
        notes.append(f"no test images of {_some(untested)}")
    return LoadedDataset(train, test, "; ".join(note for note in notes if note), inventory=inventory)


def _loaded(dataset: Dataset, split: SplitName, store: Store | None) -> ImageSet:
    images = dataset.load(split, store) if isinstance(dataset, FramedDataset) else dataset.load(split)
    if not isinstance(images, ImageSet):
        raise ContractError(
            f"{type(dataset).__qualname__}.load({split!r}) returned {type(images).__name__}, not ImageSet."
        )
    if images.labels is None:
        raise DataError(f"{images.name}: the {split} split has no labels; a data set needs them for scoring.")
    least = 2 if split == "train" else 1
    if len(images) < least:
        raise DataError(f"{images.name}: the {split} split has {len(images)} images; at least {least} are needed.")
    return images


def _with_classes_of(train: ImageSet, test: ImageSet) -> ImageSet:
    """The test split with the names of the training split, where they differ only in how accents are encoded."""
    first, second = ([unicodedata.normalize("NFC", name) for name in images.classes] for images in (train, test))
    if first != second or train.classes == test.classes:
        return test
    return dataclasses.replace(test, classes=train.classes)


def _check_agreement(train: ImageSet, test: ImageSet) -> None:
    if train.size != test.size:
        raise ContractError(f"{train.name} is {train.size} pixels, {test.name} {test.size}; the splits need one size.")
    if train.classes != test.classes:
        raise DataError(
            f"{train.name} and {test.name} disagree about the classes: {_difference(train.classes, test.classes)}."
        )
    first, second = ({name: entry.classes for name, entry in images.label_sets.items()} for images in (train, test))
    if differing := sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)):
        raise DataError(f"{train.name} and {test.name} disagree about the label sets {', '.join(differing)}.")


def _without_empty_classes(train: ImageSet, test: ImageSet) -> tuple[ImageSet, ImageSet, tuple[str, ...]]:
    """Both sets with only the classes that have images, and the names of the others."""
    present = np.bincount(train.known_labels, minlength=len(train.classes)) > 0
    untrained = [train.classes[label] for label in np.unique(test.known_labels) if not present[label]]
    if untrained:
        raise DataError(
            f"{test.name} has images of {_some(untrained)}, but {train.name} has none."
            " Add training images, or remove these from the test split."
        )
    empty = tuple(name for name, has_images in zip(train.classes, present, strict=True) if not has_images)
    if not empty:
        return train, test, ()
    renumbered = np.cumsum(present) - 1
    classes = tuple(name for name, has_images in zip(train.classes, present, strict=True) if has_images)
    train, test = (images.with_labels(renumbered[images.known_labels], classes) for images in (train, test))
    return train, test, empty


def _difference(first: Sequence[str], second: Sequence[str]) -> str:
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return f"class {index} is {a!r} in one and {b!r} in the other"
    return f"one has {len(first)}, the other {len(second)}"


def _some(names: Sequence[str]) -> str:
    return f"the class{'' if len(names) == 1 else 'es'} {some([repr(name) for name in names])}"
