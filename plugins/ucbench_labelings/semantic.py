"""Labelings a person makes, who sees through the noise: from the clean set's labels, never the published pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench import ImageSet, Params, UsageError

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_labelings.params import LabelSetParams


class Original:
    """The data set's own labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        return published.with_labels(clean.known_labels, clean.classes), test


class OtherLabelSet:
    """One of the further namings a data set brings, such as CIFAR-100's superclasses."""

    def __init__(self, params: LabelSetParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """Both sets under the label set.

        Raises:
            UsageError: naming those the data set has, if it lacks this one.
        """
        name = self.params.name
        if name not in clean.label_sets or name not in test.label_sets:
            known = ", ".join(sorted(clean.label_sets)) or "none"
            raise UsageError(f"{clean.name} has no label set {name!r}; it has: {known}.")
        entry = clean.label_sets[name]
        return (
            published.with_labels(entry.labels, entry.classes),
            test.with_labels(test.label_sets[name].labels, test.label_sets[name].classes),
        )
