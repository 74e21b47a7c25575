"""Certified learnability (Wang et al., NDSS 2025, arXiv 2405.03316): a bound on what networks near the victim reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom, norm

from ucbench_eminn.smoothed import noisy

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_eminn.params import CertifiedParams

#: Images at once.
BATCH = 500


class CertifiedLearnability:
    """An upper bound on the clean test accuracy of networks whose weights lie near the victim's, in percent.

    With noise of deviation ``sigma`` on all weights, the victim's accuracy is random. Let the weights be moved by any
    vector of length up to ``eta``. Then, at a confidence of ``confidence`` over the draws, the accuracy under noise
    still does not exceed the bound with probability ``q`` at least: the quantile of order
    ``Phi(Phi^-1(q) + eta / sigma)`` of the unmoved accuracy is bounded by one of the draws' order statistics.
    """

    def __init__(self, params: CertifiedParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float | None]:
        """``bound`` (None: the draws are too few) and ``mean``, the mean accuracy under noise, both in percent."""
        params, generator = self.params, context.run.generator("noise")
        test = context.test.images, context.test.known_labels
        accuracies = []
        for _ in range(params.draws):
            with noisy(context.model, params.sigma, generator):
                accuracies.append(_accuracy(context, *test))
        place = bounding(params.draws, params.q, params.eta / params.sigma, params.confidence)
        bound = None if place is None else sorted(accuracies)[place - 1]
        return {"bound": bound, "mean": float(np.mean(accuracies))}


def bounding(draws: int, q: float, ratio: float, confidence: float) -> int | None:
    """Which of the draws, in rising order and from 1, bounds a quantile from above at this confidence.

    The quantile's order is ``Phi(Phi^-1(q) + ratio)``. The k-th of ``draws`` values lies below it with the probability
    that at least k of them do, which is binomial.

    Returns:
        The smallest such number; None if even the largest draw does not do.
    """
    order = norm.cdf(norm.ppf(q) + ratio)
    places = np.arange(1, draws + 1)
    enough = np.flatnonzero(binom.cdf(places - 1, draws, order) >= confidence)
    return int(places[enough[0]]) if len(enough) else None


@torch.no_grad()
def _accuracy(context: MetricContext, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Of the model, in percent."""
    right = 0
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(images[start : start + BATCH].copy()).to(context.run.device).float().div_(255.0)
        with context.run.engine.autocast():
            guesses = context.model(x).argmax(1).cpu().numpy()
        right += int((guesses == labels[start : start + BATCH]).sum())
    return 100.0 * right / len(images)
