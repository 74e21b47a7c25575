"""Linear probes: what features, or a perturbation alone, still say about the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.metrics.accuracy import accuracy
from ucbench.metrics.information import Labels


def linear_probe(
    fitted: NDArray[np.float32], labels: Labels, scored: NDArray[np.float32], scored_labels: Labels
) -> float:
    """Accuracy, in percent, on features ``scored [M, D]`` of a linear classifier fitted on ``fitted [N, D]``.

    Ridge regression on one-hot labels, of features at mean 0 and deviation 1 over the fitted ones. What a network's
    features still tell of classes, whatever it was trained to say.
    """
    mean, spread = fitted.mean(0), fitted.std(0)
    scale = np.where(spread > 0, spread, 1)
    classes = int(max(labels.max(), scored_labels.max())) + 1
    return accuracy(_guess((fitted - mean) / scale, labels, (scored - mean) / scale, classes), scored_labels)


def _guess(
    fitted: NDArray[np.float32], labels: Labels, held_out: NDArray[np.float32], classes: int
) -> NDArray[np.int64]:
    """The classes of rows ``held_out`` by ridge regression, with an intercept, on the one-hot labels of ``fitted``."""

    def with_one(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack([rows, np.ones((len(rows), 1), np.float32)])

    x, y = with_one(fitted), np.eye(classes, dtype=np.float32)[labels]
    # The dual form where there are more columns than rows, so that the system stays as small as it can be.
    penalty = 1e-3 * max(float(np.square(x).sum()) / len(x), 1e-6)
    if x.shape[1] <= len(x):
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1], dtype=np.float32), x.T @ y)
    else:
        weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x), dtype=np.float32), y)
    guessed: NDArray[np.int64] = (with_one(held_out) @ weights).argmax(1)
    return guessed


def guess_accuracy(changes: NDArray[np.int16], index: Labels, labels: Labels, seed: int, limit: int = 5000) -> float:
    """Held-out accuracy, in percent, of guessing the label from the perturbation alone by a linear classifier.

    Image i carries ``changes[index[i]]``, int16 ``[M, 3, H, W]`` in 8-bit levels. Ridge regression on one-hot labels,
    fitted on four fifths of at most ``limit`` images and scored on the rest. Near
    the largest class's share, the perturbation carries no (linear) shortcut to these labels; near 100, a perfect one.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(labels))[:limit]
    held_out = chosen[: max(1, len(chosen) // 5)]
    fitted = chosen[len(held_out) :]
    if not len(fitted):
        return float("nan")

    def values(indices: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.asarray(changes)[index[indices]].reshape(len(indices), -1).astype(np.float32) / 255.0

    guessed = _guess(values(fitted), labels[fitted], values(held_out), int(labels.max()) + 1)
    return accuracy(guessed, labels[held_out])
