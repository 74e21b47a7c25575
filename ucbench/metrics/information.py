"""Agreement of two labelings of the same images, up to the names of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import Labels


def contingency(first: Labels, second: Labels) -> NDArray[np.int64]:
    """Number of images with each pair of labels: int64 ``[max(first) + 1, max(second) + 1]`` of two int64 ``[N]``."""
    # scikit-learn's contingency matrix has no rows for labels that do not occur, so its rows are not label numbers.
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    return np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns)


def best_matching(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the ``min(table.shape)`` one-to-one pairs with the largest sum of counts.

    The assignment problem (Kuhn, Naval Research Logistics Quarterly, 1955). Rows are ascending.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return rows.astype(np.int64), columns.astype(np.int64)


def agreement(labels: Labels, original: Labels) -> dict[str, float]:
    """Two symmetric measures of the agreement of labels ``[N]`` with the original ones ``[N]``, N >= 1.

    ``normalized_mutual_information``: mutual information over the mean of both entropies, in [0, 1]; 1 if each labeling
    determines the other, also if both have a single class. ``matched_accuracy``: share of the images, in percent, in
    the best one-to-one matching of classes; below 100 if the numbers of classes differ.
    """
    from sklearn.metrics import normalized_mutual_info_score

    table = contingency(labels, original)
    return {
        "normalized_mutual_information": min(float(normalized_mutual_info_score(labels, original)), 1.0),
        "matched_accuracy": 100.0 * float(table[best_matching(table)].sum()) / len(labels),
    }
