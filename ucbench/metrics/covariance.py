"""The spread of classes in features: their within-class covariance."""

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


def random_basis(dimensions: int, generator: torch.Generator) -> Tensor | None:
    """Random orthonormal columns float64 ``[dimensions, 128]``, or None where features are as few as that."""
    if dimensions <= DIMENSIONS:
        return None
    columns: Tensor = torch.linalg.qr(torch.randn(dimensions, DIMENSIONS, generator=generator, dtype=torch.float64)).Q
    return columns


def mean_variance(features: Tensor) -> float:
    """Mean over features of their variance among all images ``[N, D]``; 1 where they do not vary."""
    mean = float(features.double().var(0, correction=0).mean())
    return mean if mean > 0 else 1.0


def within_class(features: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Features ``[N, D]`` minus their class mean, float64, and their degrees of freedom: N minus the classes, or 1."""
    features = features.double()
    _, owner = labels.unique(return_inverse=True)
    counts = owner.bincount()
    sums = torch.zeros(len(counts), features.shape[1], dtype=features.dtype).index_add_(0, owner, features)
    return features - (sums / counts[:, None])[owner], max(1, len(features) - len(counts))


def within_class_log_det(features: Tensor, labels: Tensor, scale: float) -> float:
    """Log-determinant of the regularised within-class covariance, over the number of features.

    The covariance is one for all classes, of features minus their class mean. (The bound of MI-UE's paper has the mean
    of the classes' own log-determinants, which is smaller, but needs many more images per class than features.) It is
    divided by ``scale``, shrunk by 0.1 to the isotropic one of the same trace, and 0.001 is added: the result is at
    least log(0.001) = -6.9, and about 0 for classes as wide as clean images are altogether.

    Args:
        features: ``[N, D]`` on the CPU; project them first where D is large.
        labels: int64 ``[N]``.
        scale: the :func:`mean_variance` of clean features, for both sides of a comparison.

    Returns:
        The mean logarithm of the eigenvalues, in nats a feature.
    """
    centred, freedom = within_class(features.double() / math.sqrt(scale), labels)
    dimensions = centred.shape[1]
    covariance = centred.T @ centred / freedom
    level = SHRINKAGE * float(covariance.trace()) / dimensions + RIDGE
    covariance = (1 - SHRINKAGE) * covariance + level * torch.eye(dimensions, dtype=centred.dtype)
    return float(torch.linalg.slogdet(covariance).logabsdet) / dimensions
