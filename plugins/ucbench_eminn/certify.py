"""Certified learnability (Wang et al., NDSS 2025, arXiv 2405.03316): a bound for noisy networks near the victim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom, norm

from ucbench_eminn.smoothed import noisy

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_eminn.params import CertifiedParams


class CertifiedLearnability:
    """An upper bound on the clean test accuracy of networks near the victim under weight noise, in percent.

    Let the victim's weights be moved by any vector of length up to ``eta``, and get Gaussian noise of deviation
    ``sigma``. At a confidence of ``confidence`` over the draws, the accuracy under noise, which is random, then stays
    within the bound with probability ``q`` at least: the quantile of order ``Phi(Phi^-1(q) + eta / sigma)`` of the
    unmoved victim's accuracy under noise is bounded by one of the draws' order statistics.

    Networks without noise are not bounded, the victim among them.
    """

    def __init__(self, params: CertifiedParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float | None]:
        """``bound`` (None: too few draws), ``mean`` accuracy under noise and ``accuracy`` without it, in percent."""
        params, run = self.params, context.run
        generator, progress = run.generator("noise"), run.progress("networks under noise", params.draws)
        accuracies = []
        for _ in range(params.draws):
            with noisy(context.model, params.sigma, generator):
                accuracies.append(_accuracy(context))
            progress(1)
        place = bounding(params.draws, params.q, params.eta / params.sigma, params.confidence)
        bound = None if place is None else sorted(accuracies)[place - 1]
        return {"bound": bound, "mean": float(np.mean(accuracies)), "accuracy": _accuracy(context)}


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


def _accuracy(context: MetricContext) -> float:
    """Of the model, in percent."""
    predicted = context.run.engine.predict(context.model, context.test)
    return 100.0 * float((predicted == context.test.known_labels).mean())
