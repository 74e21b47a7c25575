"""Linear probes: how well features, or perturbations alone, predict labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.data.imageset import Labels
from ucbench.metrics.accuracy import accuracy


def linear_probe(
    fitted: NDArray[np.float32], labels: Labels, scored: NDArray[np.float32], scored_labels: Labels
) -> float:
    """Accuracy, in percent, on features ``scored [M, D]`` of a linear classifier fitted on ``fitted [N, D]``.

    Ridge regression on one-hot labels, on features standardised by mean and deviation of ``fitted``.
    """
    mean, deviation = fitted.mean(0), fitted.std(0)
    scale = np.where(deviation > 0, deviation, 1)
    classes = int(max(labels.max(), scored_labels.max())) + 1
    return accuracy(linear_guesses((fitted - mean) / scale, labels, (scored - mean) / scale, classes), scored_labels)


def linear_guesses(
    fitted: NDArray[np.float32], labels: Labels, held_out: NDArray[np.float32], classes: int
) -> NDArray[np.int64]:
    """The class of every row ``held_out [M, D]`` by ridge regression on the one-hot labels of ``fitted [N, D]``.

    With an intercept, on values as they are, with as many threads as torch has; int64 ``[M]``.
    """
    from threadpoolctl import threadpool_limits

    def with_one(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack([rows, np.ones((len(rows), 1), np.float32)])

    x, y = with_one(fitted), np.eye(classes, dtype=np.float32)[labels]
    # The libraries behind NumPy sum in an order that depends on their own thread count, which torch's does not reach.
    with threadpool_limits(limits=torch.get_num_threads()):
        # The dual form if there are more columns than rows: a smaller system.
        penalty = 1e-3 * max(float(np.square(x).sum()) / len(x), 1e-6)
        if x.shape[1] <= len(x):
            weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1], dtype=np.float32), x.T @ y)
        else:
            weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x), dtype=np.float32), y)
        guessed: NDArray[np.int64] = (with_one(held_out) @ weights).argmax(1)
    return guessed


def guess_accuracy(
    changes: NDArray[np.int16], index: Labels, labels: Labels, seed: int, limit: int = 5000
) -> float | None:
    """Held-out accuracy, in percent, of a linear classifier that sees only the perturbation.

    Image i has the perturbation ``changes[index[i]]``, int16 ``[M, 3, H, W]`` in 8-bit levels. Ridge regression on
    one-hot labels, fitted on four fifths of at most ``limit`` images, scored on the others. Near the share of the
    largest class, the perturbation is no linear shortcut to these labels; near 100, it is a perfect one. None for a
    single image, of which nothing is left to fit on.
    """
    rng = np.random.default_rng(seed)
    sample = rng.permutation(len(labels))[:limit]
    held_out = sample[: max(1, len(sample) // 5)]
    fitted = sample[len(held_out) :]
    if not len(fitted):
        return None

    def values(indices: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.asarray(changes)[index[indices]].reshape(len(indices), -1).astype(np.float32) / 255.0

    guessed = linear_guesses(values(fitted), labels[fitted], values(held_out), int(labels.max()) + 1)
    return accuracy(guessed, labels[held_out])
