"""Labels by a person's meaning: the data set's own, fewer or more classes, and labels drawn at random from them.

Random draws come from ``numpy.random.RandomState``, whose streams are frozen (NEP 19): a table's labels outlive a NumPy
release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ucbench import ImageSet, Labels, Params, UsageError, agreement, cluster, extract_features, nearest_centre
from ucbench_labelings.class_maps import numbered, read_class_map

if TYPE_CHECKING:
    from pathlib import Path

    from ucbench import LabelRun
    from ucbench_labelings.params import CoarseParams, FineParams, MergeParams, NoisyParams


class Original:
    """The data set's own labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        return published.with_labels(clean.known_labels, clean.classes), test


class Coarse:
    """The data set's own coarser classes, or those of a file.

    A label set may list classes without training images. These are dropped and the others renumbered; a test image of
    such a class is refused, since no victim could get it right. A file names every class of the data set, and each of
    those has training images.
    """

    def __init__(self, params: CoarseParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under the coarse classes; notes ``label_agreement``.

        Raises:
            UsageError: if the data set has no such label set, or the file does not fit it.
        """
        file = self.params.file
        labels, scoring, classes = self._named(clean, test) if file is None else _mapped(clean, test, file)
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, classes), test.with_labels(scoring, classes)

    def _named(self, clean: ImageSet, test: ImageSet) -> tuple[Labels, Labels, tuple[str, ...]]:
        name = self.params.map
        if name not in clean.label_sets or name not in test.label_sets:
            known = ", ".join(sorted(clean.label_sets)) or "none"
            raise UsageError(
                f"coarse: {clean.name} has no label set {name!r}; it has: {known}."
                " Name one of them, or give a map: coarse:FILE.toml."
            )
        entry, tested = clean.label_sets[name], test.label_sets[name]
        present = np.bincount(entry.labels, minlength=len(entry.classes)) > 0
        unseen = [entry.classes[label] for label in np.unique(tested.labels) if not present[label]]
        if unseen:
            raise UsageError(
                f"coarse: {test.name} has images of {unseen[0]!r} (label set {name!r}), but {clean.name} has none."
            )
        if present.sum() < 2:
            raise UsageError(f"coarse: all images of {clean.name} are of one class of label set {name!r}.")
        number = np.cumsum(present) - 1
        names = tuple(known for known, there in zip(entry.classes, present, strict=True) if there)
        return number[entry.labels], number[tested.labels], names


def _mapped(clean: ImageSet, test: ImageSet, file: Path) -> tuple[Labels, Labels, tuple[str, ...]]:
    numbers, names = numbered(read_class_map(file), clean.classes, file, clean.name)
    number = np.array(numbers, np.int64)
    return number[clean.known_labels], number[test.known_labels], names


class Fine:
    """Every class split into parts by k-means of its clean training images' features.

    Stands for a person who distinguishes what the data set calls by one name, hence the clean images. A test image gets
    the part with the nearest centre among those of its class. Every part has training images.
    """

    def __init__(self, params: FineParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under ``parts`` classes for each one, named ``CLASS/part 0`` and so on; notes ``label_agreement``.

        Raises:
            UsageError: naming the class if it has fewer images, or fewer different features, than parts; or without a
                model.
        """
        model, parts = run.surrogate, self.params.parts
        features, tested = (extract_features(model, images, run.device) for images in (clean, test))
        labels, scoring = np.empty(len(clean), np.int64), np.empty(len(test), np.int64)
        for label, name in enumerate(clean.classes):
            rows, tested_rows = (np.flatnonzero(images.known_labels == label) for images in (clean, test))
            try:
                clusters = cluster(features[rows], parts, self.params.map_seed)
            except UsageError as error:
                raise UsageError(f"fine: class {name!r} of {clean.name} has no {parts} parts. {error}") from error
            nearest = nearest_centre(tested[tested_rows], torch.from_numpy(clusters.centres))
            labels[rows] = label * parts + clusters.assignment
            scoring[tested_rows] = label * parts + nearest.numpy()
        classes = tuple(f"{name}/part {part}" for name in clean.classes for part in range(parts))
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, classes), test.with_labels(scoring, classes)


class Merge:
    """Classes merged into groups at random; the numbers of classes in two groups differ by one at most.

    Every class has training images, and so has every group.
    """

    def __init__(self, params: MergeParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under the groups; notes ``merged_classes`` by group, and ``label_agreement``.

        Raises:
            UsageError: if there are fewer classes than groups.
        """
        wanted, classes = self.params.groups, clean.classes
        if wanted > len(classes):
            raise UsageError(f"merge: {len(classes)} classes of {clean.name} cannot form groups={wanted}; lower it.")
        order = np.random.RandomState(self.params.map_seed).permutation(len(classes))
        names = tuple(f"group {number}" for number in range(wanted))
        group = np.empty(len(classes), np.int64)
        members: dict[str, list[str]] = {}
        for number, part in enumerate(np.array_split(order, wanted)):
            group[part] = number
            members[names[number]] = [classes[label] for label in sorted(part)]
        labels = group[clean.known_labels]
        run.note("merged_classes", members)
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, names), test.with_labels(group[test.known_labels], names)


class Noisy:
    """Symmetric label noise: exactly ``round(rate * N)`` training images under one of the other classes.

    The images are drawn without replacement from the whole training set, not class by class, and their labels uniformly
    from the other K - 1 classes. Draws of one ``map_seed`` are nested: a larger rate mislabels all that a smaller one
    does, with the same labels.

    Test labels are the true ones. The classes stay the data set's; with few images and a high rate one of them may be
    left without training images.
    """

    def __init__(self, params: NoisyParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """The published set mislabelled, the test set as it is; notes ``mislabelled`` (images), ``label_agreement``."""
        true, count, classes = clean.known_labels, len(clean), len(clean.classes)
        draws = np.random.RandomState(self.params.map_seed)
        rows = draws.permutation(count)[: round(self.params.rate * count)]
        shift = draws.randint(1, classes, count, dtype=np.int64)
        labels = true.copy()
        labels[rows] = (true[rows] + shift[rows]) % classes
        run.note("mislabelled", len(rows))
        run.note("label_agreement", agreement(labels, true))
        return published.with_labels(labels, clean.classes), test
