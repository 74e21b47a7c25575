"""Fewer classes than the data set has, by their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ucbench import ImageSet, Labels, UsageError, agreement
from ucbench_labelings.class_maps import numbered, read_class_map

if TYPE_CHECKING:
    from pathlib import Path

    from ucbench import Run
    from ucbench_labelings.params import CoarseParams


class Coarse:
    """The data set's own coarser classes, or those of a file.

    A label set may list classes of which there is no training image. These are dropped, and the numbers close up; a
    test image of one is refused, as no victim could get it right. A file names every class of the data set, and each of
    those has training images.
    """

    def __init__(self, params: CoarseParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
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
                " Name one of them, or a map of your own: coarse:FILE.toml."
            )
        entry, tested = clean.label_sets[name], test.label_sets[name]
        present = np.bincount(entry.labels, minlength=len(entry.classes)) > 0
        unseen = [entry.classes[label] for label in np.unique(tested.labels) if not present[label]]
        if unseen:
            raise UsageError(
                f"coarse: {test.name} shows {unseen[0]!r} of label set {name!r}, of which {clean.name} has no image."
            )
        if present.sum() < 2:
            raise UsageError(f"coarse: all images of {clean.name} are of one class of label set {name!r}.")
        number = np.cumsum(present) - 1
        kept = tuple(known for known, there in zip(entry.classes, present, strict=True) if there)
        return number[entry.labels], number[tested.labels], kept


def _mapped(clean: ImageSet, test: ImageSet, file: Path) -> tuple[Labels, Labels, tuple[str, ...]]:
    numbers, names = numbered(read_class_map(file), clean.classes, file, clean.name)
    number = np.array(numbers, np.int64)
    return number[clean.known_labels], number[test.known_labels], names
