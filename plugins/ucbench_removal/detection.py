"""Detectability of a release: how well simple classifiers predict the labels from high-pass residuals.

Pure functions of a release's pixels and of labels. If a classifier of residuals predicts the labels of held-out images,
a perturbation may follow them. Clean images score above chance too, since textures differ by class: compare with the
value of the clean set.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ucbench import Params
from ucbench_removal.subtraction import residuals

if TYPE_CHECKING:
    from ucbench import MetricContext

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

#: Half-width in pixels of the median's window whose residuals are seen.
SCALE = 1.0
#: Residuals are cut to +-16 levels, beyond which they are edges of the images.
CLIP = 16.0
#: Images used at most, of which a fifth is held out.
LIMIT = 5000
#: Units of the perceptron's hidden layer, and its passes.
HIDDEN, EPOCHS = 128, 30


class Detection:
    """Both measures of a published training set under the exploiter's labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float | None]:
        """``linear`` (percent, :func:`linear_separability`) and ``auc`` (0 to 1, :func:`detector_auc`)."""
        published, seed = context.published, context.run.seed("detection")
        rows = np.random.default_rng(seed).permutation(len(published))[:LIMIT]
        values, labels = clipped_residuals(published.images[rows]), published.known_labels[rows]
        return {"linear": linear_separability(values, labels), "auc": detector_auc(values, labels, seed)}


def clipped_residuals(images: NDArray[np.uint8]) -> Floats:
    """Residuals of images ``[N, 3, H, W]`` in [-1, 1], flattened: float32 ``[N, D]``."""
    levels = residuals(images, "median", SCALE).reshape(len(images), -1).astype(np.float32)
    return np.asarray(np.clip(levels / CLIP, -1, 1))


def linear_separability(values: Floats, labels: Labels) -> float:
    """Held-out accuracy, in percent, of logistic regression of ``labels`` ``[N]`` on ``values`` ``[N, D]``.

    The literature fits the perturbation itself (Yu et al., KDD 2022, arXiv 2111.00898), and reports the accuracy on
    the same images; with the release alone only the residual is available, and a held-out fifth is more telling.

    Raises:
        ValueError: if fewer than two classes are left to fit.
    """
    from sklearn.linear_model import LogisticRegression

    fitted, held_out = _split(len(labels))
    classifier = _fit(LogisticRegression(max_iter=100), values[fitted], labels[fitted])
    return 100 * float(classifier.score(values[held_out], labels[held_out]))


def detector_auc(values: Floats, labels: Labels, seed: int) -> float | None:
    """Area under the ROC curve, 0 to 1, of a two-layer perceptron for the classes of a held-out fifth.

    The mean over classes, each against the rest; 0.5 is chance. The detector is that of Zhu, Yu and Gao (Detection
    and Defense of Unlearnable Examples, AAAI 2024, arXiv 2312.08898), who call a set unlearnable if a two-layer network
    classifies more than 70 % of held-out images. Theirs sees pixels, with a hidden layer as wide as the input, under
    SGD; here it has :data:`HIDDEN` units, is trained by Adam, and the area replaces the threshold.

    Args:
        values: ``[N, D]``.
        labels: ``[N]``.
        seed: of the perceptron.

    Returns:
        None if all held-out images are of one class.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.neural_network import MLPClassifier

    fitted, held_out = _split(len(labels))
    network = MLPClassifier((HIDDEN,), max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=seed % 2**32)
    _fit(network, values[fitted], labels[fitted])
    scores = network.predict_proba(values[held_out])
    areas = []
    for column, label in enumerate(network.classes_):
        is_label = labels[held_out] == label
        if is_label.any() and not is_label.all():
            areas.append(roc_auc_score(is_label, scores[:, column]))
    return float(np.mean(areas)) if areas else None


def _split(count: int) -> tuple[slice, slice]:
    """Of images in a random order, which to fit on and which, a fifth, to score on."""
    held_out = max(1, count // 5)
    return slice(held_out, None), slice(held_out)


def _fit(classifier: Any, values: Floats, labels: Labels) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is fixed on purpose
        return classifier.fit(values, labels)
