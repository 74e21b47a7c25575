"""Whether a craft did what MI-UE is for: how narrow the classes are in a network's features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Added to the variances of :func:`within_class_log_det`, whose mean over clean features is 1.
RIDGE = 1e-3
#: Weight of the isotropic covariance of the same trace.
SHRINKAGE = 0.1
#: Features beyond which a random projection to as many dimensions is measured.
DIMENSIONS = 128


def projection(dimensions: int, generator: torch.Generator) -> Tensor | None:
    """Random orthonormal columns float64 ``[dimensions, DIMENSIONS]``, or None where features are as few as that."""
    if dimensions <= DIMENSIONS:
        return None
    return torch.linalg.qr(torch.randn(dimensions, DIMENSIONS, generator=generator, dtype=torch.float64)).Q


def variance(features: Tensor) -> float:
    """Mean over features of their variance among all images ``[N, D]``; 1 where they do not vary."""
    mean = float(features.double().var(0, correction=0).mean())
    return mean if mean > 0 else 1.0


def within_class_log_det(features: Tensor, labels: Tensor, scale: float) -> float:
    """Log-determinant of the regularised within-class covariance, over the number of features.

    The covariance is one for all classes, of features minus their class mean. (The paper's bound has the mean
    of the classes' own log-determinants, which is smaller, but wants many more images a class than features.) It is
    divided by ``scale``, shrunk by :data:`SHRINKAGE` to the isotropic one of the same trace, and :data:`RIDGE` is
    added: the result is at least log(RIDGE) = -6.9, and about 0 for classes as wide as clean images are altogether.

    Args:
        features: ``[N, D]`` on the CPU; project them first where D is large.
        labels: int64 ``[N]``.
        scale: the :func:`variance` of clean features, for both sides of a comparison.

    Returns:
        The mean logarithm of the eigenvalues, in nats a feature.
    """
    features = features.double() / math.sqrt(scale)
    count, dimensions = features.shape
    _, owner = labels.unique(return_inverse=True)
    counts = owner.bincount()
    sums = torch.zeros(len(counts), dimensions, dtype=features.dtype).index_add_(0, owner, features)
    centred = features - (sums / counts[:, None])[owner]
    covariance = centred.T @ centred / max(1, count - len(counts))
    level = SHRINKAGE * float(covariance.trace()) / dimensions + RIDGE
    covariance = (1 - SHRINKAGE) * covariance + level * torch.eye(dimensions, dtype=features.dtype)
    return float(torch.linalg.slogdet(covariance).logabsdet) / dimensions
