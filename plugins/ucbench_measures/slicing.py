"""Sliced mutual information: the mean over random projections of the information that one number has of another.

Z. Goldfeld, K. Greenewald: Sliced Mutual Information: A Scalable Measure of Statistical Dependence. NeurIPS 2021,
arXiv:2110.05279.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ucbench_measures.estimators import Estimator, Floats, gaussian, histogram, kernel, ksg, standard
from ucbench_measures.mine import mine

#: By name, as in parameters and columns.
ESTIMATORS: dict[str, Estimator] = {
    "ksg": ksg, "histogram": histogram, "kernel": kernel, "mine": mine, "gaussian": gaussian,
}  # fmt: skip


class Estimate(NamedTuple):
    """A mean over projections, in nats, and its standard error over them (NaN with one projection)."""

    mean: float
    error: float


def projected(features: Tensor, projections: int, generator: torch.Generator) -> Floats:
    """Features ``[N, D]`` along random unit vectors, float64 ``[projections, N]``."""
    vectors = torch.randn((projections, features.shape[1]), generator=generator, dtype=torch.float64)
    vectors /= vectors.norm(dim=1, keepdim=True)
    return np.asarray((vectors @ features.double().T).numpy())


def sliced(x: Floats, y: Floats, estimator: str, generator: torch.Generator) -> Estimate:
    """The mean of an estimator over projections of two sets of features, each ``[S, N]``.

    ``generator`` is for what the estimator draws. A projection that is constant on either side has no information.
    """
    varies = standard(x).any(1) & standard(y).any(1)
    values = np.zeros(len(x))
    if varies.any():
        values[varies] = ESTIMATORS[estimator](x[varies], y[varies], generator)
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), error)
