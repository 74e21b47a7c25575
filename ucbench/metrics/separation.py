"""How far a network holds classes apart, whatever its features' lengths."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_gap(features: Tensor, labels: Tensor) -> float | None:
    """Mean cosine of two images of one class minus that of two images of different classes.

    Features that follow a ReLU have cosines in [0, 1] throughout, so either mean alone says little.

    Args:
        features: ``[N, D]`` on the CPU; cosines with features of length 0 are 0.
        labels: int64 ``[N]``.

    Returns:
        A number in [-2, 2], or None where there is no pair of one kind.
    """
    unit = F.normalize(features.double(), dim=1)
    owner = torch.unique(labels, return_inverse=True)[1]
    counts = owner.bincount()
    sums = unit.new_zeros(len(counts), unit.shape[1]).index_add_(0, owner, unit)
    within_pairs = int((counts * (counts - 1)).sum())
    between_pairs = len(labels) ** 2 - int(counts.square().sum())
    if not within_pairs or not between_pairs:
        return None
    of_classes = float(sums.square().sum())
    within = of_classes - float(unit.square().sum())
    between = float(unit.sum(0).square().sum()) - of_classes
    return within / within_pairs - between / between_pairs
