"""What a data set consists of: the files behind each split, images per class, what was passed over, what repeats."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ucbench.data.imageset import ImageSet

#: Names and classes that a line shows.
_SHOWN = 5
#: Damaged images that a line and a record name.
_DAMAGED = 20
#: Bytes of an image that are compared first; only images equal in these are hashed.
_SAMPLED = 64


@dataclass(frozen=True)
class Sources:
    """Where a reader found the images of one split. Names are relative to the data set's path.

    Attributes:
        served: the files or folders that hold the split, in the order of reading; empty for data without files.
        passed_over: what lies there and was not read, by reason: a few words such as ``hidden``.
        root: the data set's path, if it has one.
        damaged: images that were left out; the core fills it in.
    """

    served: Sequence[str] = ()
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    root: Path | None = None
    damaged: Sequence[str] = ()


@dataclass(frozen=True)
class SplitInventory:
    """One split.

    Attributes:
        served: as in :class:`Sources`.
        per_class: number of images by class, also where it is 0.
        repeated: images that are equal, pixel by pixel, to an earlier one of the split.
    """

    served: Sequence[str] = ()
    per_class: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.per_class.values())

    def line(self) -> str:
        """The split in one line, such as ``8 images from train/ (cat: 6, dog: 2)``."""
        source = f" from {some(self.served)}" if self.served else ""
        counts = set(self.per_class.values())
        names = list(self.per_class)
        if len(counts) == 1:
            return f"{self.images} images{source}: {counts.pop()} of each class ({some(names)})"
        shown = some([f"{name}: {count}" for name, count in self.per_class.items()])
        spread = f"; {min(counts)} to {max(counts)} of a class" if len(names) > _SHOWN else ""
        return f"{self.images} images{source} ({shown}{spread})"

    def compact(self) -> dict[str, Any]:
        """For the record: what served, fewest and most images of a class, repeated images."""
        counts = self.per_class.values()
        return {
            "served": some(self.served),
            "per_class": [min(counts, default=0), max(counts, default=0)],
            "repeated": self.repeated,
        }


@dataclass(frozen=True)
class Inventory:
    """What was loaded and what was not.

    Attributes:
        train: the images to be trained on.
        test: the images to be scored on.
        passed_over: as in :class:`Sources`, of both splits.
        shared: test images that are equal, pixel by pixel, to a training image.
        relabeled: images, of either split, that are equal to an earlier one of another class.
        damaged: as in :class:`Sources`, of both splits.
    """

    train: SplitInventory = field(default_factory=SplitInventory)
    test: SplitInventory = field(default_factory=SplitInventory)
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shared: int = 0
    relabeled: int = 0
    damaged: Sequence[str] = ()

    @classmethod
    def of(cls, train: ImageSet, test: ImageSet, sources: Mapping[str, Sources]) -> Inventory:
        """Count two labelled splits; ``sources`` by ``train`` and ``test``."""
        passed_over: dict[str, dict[str, None]] = {}
        for source in sources.values():
            for reason, names in source.passed_over.items():
                passed_over.setdefault(reason, {}).update(dict.fromkeys(names))
        repeated, shared, relabeled = _repeats(train, test)
        first, second = (
            SplitInventory(tuple(sources.get(split, Sources()).served), _per_class(images), repeated[split])
            for split, images in (("train", train), ("test", test))
        )
        named = {reason: tuple(names) for reason, names in passed_over.items()}
        damaged = tuple(dict.fromkeys(name for source in sources.values() for name in source.damaged))
        return cls(first, second, named, shared, relabeled, damaged)

    def lines(self) -> list[str]:
        """To be printed: one line per split, and if there are any, one each for files passed over, damage, repeats."""
        lines = [f"  train: {self.train.line()}", f"  test: {self.test.line()}"]
        if self.passed_over:
            parts = [f"{some(names)} ({reason})" for reason, names in self.passed_over.items()]
            lines.append(f"  passed over: {'; '.join(parts)}")
        if self.damaged:
            lines.append(f"  left out, damaged: {some(self.damaged, _DAMAGED)}")
        repeated = {
            "in train": self.train.repeated,
            "in test": self.test.repeated,
            "of test that are in train too": self.shared,
            "under another class": self.relabeled,
        }
        if any(repeated.values()):
            parts = [f"{count} {where}" for where, count in repeated.items() if count]
            lines.append(f"  repeated images: {', '.join(parts)}")
        return lines

    def compact(self) -> dict[str, Any]:
        """For the record, as JSON values."""
        return {
            "train": self.train.compact(),
            "test": self.test.compact(),
            "passed_over": {reason: len(names) for reason, names in self.passed_over.items()},
            "shared": self.shared,
            "relabeled": self.relabeled,
            **({"damaged": some(self.damaged, _DAMAGED)} if self.damaged else {}),
        }


def with_damaged(sources: Sources, names: Sequence[str]) -> Sources:
    """The sources with damaged images, named as in errors: with the path of the data set before them."""
    prefix = "" if sources.root is None else os.path.join(sources.root, "")
    return dataclasses.replace(sources, damaged=tuple(name.removeprefix(prefix) for name in names))


def some(names: Sequence[str], limit: int = _SHOWN) -> str:
    """The first ``limit`` names, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _per_class(images: ImageSet) -> dict[str, int]:
    counts = np.bincount(images.known_labels, minlength=len(images.classes))
    return dict(zip(images.classes, counts.tolist(), strict=True))


def _repeats(train: ImageSet, test: ImageSet) -> tuple[Counter[str], int, int]:
    """Images equal to an earlier one of their split, test images equal to a training image, and images equal to an
    earlier one of another class, training images being the earlier ones."""
    # Nearly all images differ in a few bytes, so nearly none is hashed as a whole.
    samples = {"train": _samples(train), "test": _samples(test)}
    often = Counter(sample for rows in samples.values() for sample in rows)
    seen: dict[str, dict[bytes, int]] = {"train": {}, "test": {}}
    repeated: Counter[str] = Counter()
    shared = relabeled = 0
    for split, images in (("train", train), ("test", test)):
        for row in (row for row, sample in enumerate(samples[split]) if often[sample] > 1):
            digest, label = hashlib.sha256(images.images[row].tobytes()).digest(), int(images.known_labels[row])
            earlier = seen["train"].get(digest, seen[split].get(digest, label))
            repeated[split] += digest in seen[split]
            shared += split == "test" and digest in seen["train"]
            relabeled += earlier != label
            seen[split].setdefault(digest, label)
    return repeated, shared, relabeled


def _samples(images: ImageSet) -> list[bytes]:
    rows = images.images.reshape(len(images), -1)
    return [row.tobytes() for row in rows[:, :: max(1, rows.shape[1] // _SAMPLED)]]
