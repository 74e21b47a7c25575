"""Accuracy of predicted classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import Labels
from ucbench.metrics.information import best_matching


def accuracy(predicted: Labels, labels: Labels) -> float:
    """Share of correct predictions, in percent."""
    return 100.0 * float((predicted == labels).mean())


def confusion(predicted: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Counts ``[classes, classes]`` by true class (rows) and predicted class (columns)."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def test_metrics(predicted: Labels, labels: Labels, classes: int) -> dict[str, float]:
    """Accuracies on the clean test set, in percent.

    ``balanced_accuracy`` is the mean over the classes that occur. ``matched_accuracy`` is the best over all
    permutations of the predicted classes; only there does a victim that learned permuted classes score high. ``chance``
    is the share of the largest class.
    """
    table = confusion(predicted, labels, classes)
    sizes = table.sum(1)
    present = sizes > 0
    return {
        "test_accuracy": accuracy(predicted, labels),
        "balanced_accuracy": 100.0 * float((np.diag(table)[present] / sizes[present]).mean()),
        "matched_accuracy": 100.0 * float(table[best_matching(table)].sum() / len(labels)),
        "chance": 100.0 * float(sizes.max() / len(labels)),
    }
