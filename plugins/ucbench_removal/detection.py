"""Detectability of a release: how well simple classifiers predict the labels from high-pass residuals.

Pure functions of a release's pixels and of labels. If a classifier of residuals predicts the labels of held-out images,
a perturbation may follow them. Clean images score above chance too, since textures differ by class: compare with the
value of the clean set.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ucbench import Params
from ucbench_removal.params import Filter
from ucbench_removal.subtraction import residuals

if TYPE_CHECKING:
    from ucbench import MetricContext

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

#: Residuals are cut to +-16 levels, beyond which they are edges of the images.
CLIP = 16.0


class Detection:
    """Both measures of a published training set under the exploiter's labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float | None]:
        """``linear`` (percent, :func:`linear_separability`) and ``auc`` (0 to 1, :func:`detector_auc`)."""
        published = context.published
        seed = context.run.seed("detection")
        area = detector_auc(published.images, published.known_labels, seed)
        return {
            "linear": linear_separability(published.images, published.known_labels, seed),
            "auc": None if np.isnan(area) else area,
        }


def linear_separability(
    images: Images,
    labels: Labels,
    seed: int,
    *,
    filter: Filter = "median",
    scale: float = 1.0,
    limit: int = 5000,
) -> float:
    """Held-out accuracy, in percent, of logistic regression of the labels on the images' residuals.

    The literature fits the perturbation itself (Yu et al., KDD 2022, arXiv 2111.00898), and reports the accuracy on
    the same images; with the release alone only the residual is available, and a held-out fifth is more telling.

    Args:
        images: ``[N, 3, H, W]``.
        labels: ``[N]``.
        seed: of the choice of images and of the held-out fifth.
        filter: see :func:`ucbench_removal.subtraction.residuals`.
        scale: see there.
        limit: images used at most.

    Raises:
        ValueError: if fewer than two classes are left to fit.
    """
    from sklearn.linear_model import LogisticRegression

    fitted, held_out = _split(len(labels), seed, limit)
    chosen = images[np.concatenate([fitted, held_out])]
    values = np.clip(residuals(chosen, filter, scale).reshape(len(chosen), -1).astype(np.float32) / CLIP, -1, 1)
    classifier = _fit(LogisticRegression(max_iter=100), values[: len(fitted)], labels[fitted])
    return 100 * float(classifier.score(values[len(fitted) :], labels[held_out]))


def detector_auc(
    images: Images,
    labels: Labels,
    seed: int,
    *,
    of: Literal["residuals", "pixels"] = "residuals",
    filter: Filter = "median",
    scale: float = 1.0,
    hidden: int = 128,
    epochs: int = 30,
    limit: int = 5000,
) -> float:
    """Area under the ROC curve, 0 to 1, of a two-layer perceptron for the classes of a held-out fifth.

    The mean over classes, each against the rest; 0.5 is chance. The detector is that of Zhu, Yu and Gao (Detection
    and Defense of Unlearnable Examples, AAAI 2024, arXiv 2312.08898), who call a set unlearnable if a two-layer network
    classifies more than 70 % of held-out images. Theirs sees ``pixels``, with a hidden layer as wide as the input,
    under SGD; here it sees ``residuals`` by default, has ``hidden`` units, is trained by Adam, and the area
    replaces the threshold.

    Args:
        images: ``[N, 3, H, W]``.
        labels: ``[N]``.
        seed: of the choice of images, the held-out fifth, and the perceptron.
        of: its input.
        filter: see :func:`ucbench_removal.subtraction.residuals`.
        scale: see there.
        hidden: units of the hidden layer.
        epochs: passes.
        limit: images used at most.

    Returns:
        nan if all held-out images are of one class.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.neural_network import MLPClassifier

    fitted, held_out = _split(len(labels), seed, limit)
    chosen = images[np.concatenate([fitted, held_out])]
    if of == "pixels":
        values = chosen.reshape(len(chosen), -1).astype(np.float32) / 255 - 0.5
    else:
        values = np.clip(residuals(chosen, filter, scale).reshape(len(chosen), -1).astype(np.float32) / CLIP, -1, 1)
    network = MLPClassifier((hidden,), max_iter=epochs, n_iter_no_change=epochs, random_state=seed % 2**32)
    _fit(network, values[: len(fitted)], labels[fitted])
    scores = network.predict_proba(values[len(fitted) :])
    areas = []
    for column, label in enumerate(network.classes_):
        own = labels[held_out] == label
        if own.any() and not own.all():
            areas.append(roc_auc_score(own, scores[:, column]))
    return float(np.mean(areas)) if areas else float("nan")


def _split(count: int, seed: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to fit on and, a fifth of them, to score on."""
    chosen = np.random.default_rng(seed).permutation(count)[:limit]
    held_out = max(1, len(chosen) // 5)
    return chosen[held_out:], chosen[:held_out]


def _fit(classifier: Any, values: NDArray[np.float32], labels: Labels) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is fixed on purpose
        return classifier.fit(values, labels)
