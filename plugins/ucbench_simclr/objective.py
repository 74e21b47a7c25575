"""What contrastive learning minimises, and what is measured of the features it leaves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy of SimCLR (equation 1), the mean over all 2B views.

    View i, and its partner j among the 2B - 1 others, cost ``-log(exp(s_ij / T) / sum_{k != i} exp(s_ik / T))``, s
    being cosines.

    Args:
        projections: floating ``[2B, D]``; rows i and B + i are two views of one picture. Cosines with a projection of
            length 0 are 0.
        temperature: T.

    Returns:
        A scalar, 0 where there is one picture.
    """
    views = F.normalize(projections, dim=1)
    count = len(views)
    others = torch.arange(count, device=views.device)
    scores = (views @ views.T / temperature).masked_fill(
        torch.eye(count, dtype=torch.bool, device=views.device), -torch.inf
    )
    return F.cross_entropy(scores, others.roll(count // 2))


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of two views of a picture, their features ``[N, D]`` at length 1; between 0 and 4.

    Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere, ICML 2020, arXiv 2005.10242, with alpha = 2. Smaller is better.
    """
    distances = F.normalize(first.double(), dim=1) - F.normalize(second.double(), dim=1)
    return float(distances.square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Logarithm of the mean of ``exp(-2 d^2)`` over pairs of pictures, their features ``[N, D]`` at length 1, N > 1.

    Wang and Isola (2020) with t = 2. Between -8 and 0, where all features point one way; smaller is more uniform.
    """
    distances = torch.pdist(F.normalize(features.double(), dim=1))
    return float(distances.square().mul(-2).exp().mean().log())
