"""More classes than the protector knew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ucbench import ImageSet, UsageError, agreement, cluster, extract_features, nearest_centre
from ucbench_labelings.model import lent_model

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_labelings.params import FineParams


class Fine:
    """Every class split into parts by k-means of its clean training images' features.

    Stands for a person who tells apart what the data set calls by one name, hence the clean images. A test image gets
    the part with the nearest centre among those of its own class. Every part has training images; a class without test
    images has parts without.
    """

    def __init__(self, params: FineParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        """Both sets under ``parts`` classes for each one, named ``CLASS/part 0`` and so on; notes ``label_agreement``.

        Raises:
            UsageError: naming the class if it has fewer images, or fewer that differ in the model's eyes, than parts;
                or without a model.
        """
        model, parts = lent_model(run), self.params.parts
        features, tested = (extract_features(model, images, run.device) for images in (clean, test))
        labels, scoring = np.empty(len(clean), np.int64), np.empty(len(test), np.int64)
        for label, name in enumerate(clean.classes):
            own, own_tested = (np.flatnonzero(images.known_labels == label) for images in (clean, test))
            try:
                found = cluster(features[own], parts, self.params.map_seed)
            except UsageError as error:
                raise UsageError(f"fine: class {name!r} of {clean.name} has no {parts} parts. {error}") from error
            nearest = nearest_centre(tested[own_tested], torch.from_numpy(found.centres))
            labels[own] = label * parts + found.assignment
            scoring[own_tested] = label * parts + nearest.numpy()
        classes = tuple(f"{name}/part {part}" for name in clean.classes for part in range(parts))
        run.note("label_agreement", agreement(labels, clean.known_labels))
        return published.with_labels(labels, classes), test.with_labels(scoring, classes)
