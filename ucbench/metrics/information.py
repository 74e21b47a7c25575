"""How far two labelings of the same images agree, whatever their classes are called."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def contingency(first: Labels, second: Labels) -> NDArray[np.int64]:
    """How many images have each pair of labels: int64 ``[max(first) + 1, max(second) + 1]`` of two int64 ``[N]``."""
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    return np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns)


def best_matching(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the one-to-one pairs, ``min(table.shape)`` of them, that hold most of the counts.

    The assignment problem (Kuhn, Naval Research Logistics Quarterly, 1955). Rows are rising.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return rows.astype(np.int64), columns.astype(np.int64)


def agreement(labels: Labels, original: Labels) -> dict[str, float]:
    """Two measures of how far labels ``[N]``, N >= 1, say what the original ones ``[N]`` say; both are symmetric.

    ``normalized_mutual_information``: mutual information over the mean of both entropies, in [0, 1]; 1 where each
    labeling tells the other, also if both have a single class. ``matched_accuracy``: share of the images, in percent,
    that lie in pairs of classes matched one to one as well as can be. A class merged or split has one partner only: the
    second measure stays below 100 wherever the numbers of classes differ.
    """
    table = contingency(labels, original)
    mean = (entropy(table.sum(1)) + entropy(table.sum(0))) / 2
    return {
        "normalized_mutual_information": min(mutual_information(table) / mean, 1.0) if mean > 0 else 1.0,
        "matched_accuracy": 100.0 * float(table[best_matching(table)].sum()) / len(labels),
    }


def mutual_information(table: NDArray[np.int64]) -> float:
    """Of the two labelings whose pairs a contingency ``table`` counts, in nats; at least 0."""
    return max(entropy(table.sum(1)) + entropy(table.sum(0)) - entropy(table), 0.0)


def entropy(counts: NDArray[np.int64]) -> float:
    """Of the shares of ``counts`` of any shape, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
