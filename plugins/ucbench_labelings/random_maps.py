"""Labels drawn at random from the data set's own, whatever the pictures show.

Draws come from ``numpy.random.RandomState``, whose streams are frozen (NEP 19): a table's labels outlive a NumPy
release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ucbench import ImageSet, UsageError, agreement

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_labelings.params import MergeParams, NoisyParams


class Merge:
    """Classes merged into groups at random; groups differ by one class at most, in images by what their classes hold.

    Every class has training images, and so has every group.
    """

    def __init__(self, params: MergeParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
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
    from the other K - 1 classes (some of the literature draws from all K, so that fewer are wrong than its rate says).
    Draws of one ``map_seed`` are nested: what a smaller rate mislabels, a larger one mislabels alike.

    Test labels are the true ones. The classes stay the data set's; with few images and a high rate one of them may be
    left without training images.
    """

    def __init__(self, params: NoisyParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """The published set mislabelled, the test set as it is; notes ``mislabelled`` (images), ``label_agreement``."""
        true, count, classes = clean.known_labels, len(clean), len(clean.classes)
        draws = np.random.RandomState(self.params.map_seed)
        chosen = draws.permutation(count)[: round(self.params.rate * count)]
        shift = draws.randint(1, classes, count, dtype=np.int64)
        labels = true.copy()
        labels[chosen] = (true[chosen] + shift[chosen]) % classes
        run.note("mislabelled", len(chosen))
        run.note("label_agreement", agreement(labels, true))
        return published.with_labels(labels, clean.classes), test
