"""Labelings without a person: a pretrained model labels the published images.

The clean images alone define what is to be learned: the classes, and the labels by which the clean test set is scored.
A release that misleads the model therefore changes only the training labels; ``annotate=clean`` gives the published
images the labels of their clean originals. A class without published images stays a class, and its test images count
as errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench import (
    ImageSet,
    Labels,
    NetworkSurrogate,
    UsageError,
    agreement,
    best_matching,
    cluster,
    contingency,
    extract_features,
    nearest_centre,
    predict_classes,
)

if TYPE_CHECKING:
    from ucbench import LabelRun, Surrogate
    from ucbench_labelings.params import KMeansParams, PredictedParams


class Predicted:
    """The highest-scoring class of a pretrained classifier, among those that it sees in the clean training images.

    The clean images decide which of the model's classes exist, in the model's order; published and test images get the
    best-scoring class of these.
    """

    def __init__(self, params: PredictedParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under the model's classes, named ``predicted 207`` by its own numbers.

        Notes as :func:`_note`.

        Raises:
            UsageError: if the model predicts a single class, has no classifier, or is missing.
        """
        model = run.surrogate
        seen, before = np.unique(predict_classes(model, clean, run.device), return_inverse=True)
        if len(seen) < 2:
            raise UsageError(
                f"predicted: the model predicts only its class {seen[0]} in {clean.name}; name another with model=."
            )
        choosing = _Choosing(model, torch.from_numpy(seen).to(run.device))
        now, scoring = (predict_classes(choosing, images, run.device) for images in (published, test))
        classes = tuple(f"predicted {number}" for number in seen)
        labels = self.params.chosen(before.astype(np.int64), now)
        _note(run, labels, labels_kept=now == before, clean=clean, classes=len(classes))
        return published.with_labels(labels, classes), test.with_labels(scoring, classes)


class _Choosing(NetworkSurrogate):
    """A classifier's scores for some of its classes: those of numbers ``seen``, int64 ``[K]``."""

    def __init__(self, model: Surrogate, seen: torch.Tensor) -> None:
        super().__init__()
        self._model, self._seen = model, seen

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self._model.logits(x)[:, self._seen]


class KMeans:
    """Clusters of the published images' features, and for scoring those of the clean training images' features.

    Both use the same k-means (k-means++ starts, best of ten, one seed). The *published* clusters are renumbered: each
    gets the number of a clean one, one to one, so that as many training images as possible keep the number they had
    when clean. Test images get the nearest clean centre, whose numbers never change.
    """

    def __init__(self, params: KMeansParams) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> tuple[ImageSet, ImageSet]:
        """Both sets under ``k`` clusters, named ``cluster 0`` and so on; each has published images.

        Notes as :func:`_note`.

        Raises:
            UsageError: if there are fewer images, or fewer different features, than clusters; or without a model.
        """
        model, k = run.surrogate, self.params.k
        before, now = (
            cluster(extract_features(model, images, run.device), k, self.params.map_seed)
            for images in (clean, published)
        )
        _, number = best_matching(contingency(now.assignment, before.assignment))
        renumbered = number[now.assignment]
        scoring = nearest_centre(extract_features(model, test, run.device), torch.from_numpy(before.centres)).numpy()
        classes = tuple(f"cluster {index}" for index in range(k))
        labels = self.params.chosen(before.assignment, renumbered)
        _note(run, labels, labels_kept=renumbered == before.assignment, clean=clean, classes=k)
        return published.with_labels(labels, classes), test.with_labels(scoring, classes)


def _note(run: LabelRun, labels: Labels, *, labels_kept: NDArray[np.bool_], clean: ImageSet, classes: int) -> None:
    """Note how the labels that are used compare with others of the same images.

    ``label_agreement`` with the originals; ``labels_kept``: percent of images that the model labels as it does when
    clean, whichever labels are used; ``classes_without_images``: the number of classes without a training image.
    """
    run.note("label_agreement", agreement(labels, clean.known_labels))
    run.note("labels_kept", 100.0 * float(labels_kept.mean()))
    run.note("classes_without_images", classes - len(np.unique(labels)))
