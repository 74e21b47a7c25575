"""What MI-UE minimises, and the batches it is computed on.

Features of one class are to be similar and near to each other, unlike those of other classes. If the perturbed features
are nearly Gaussian given the class, their mutual information with the clean ones is bounded by the log-determinant of
their within-class covariance (theorem 5.1 of the paper); gathering a class lowers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

Denominator = Literal["all", "other-class"]
DistanceScale = Literal["dimension", "none"]

#: Images of a class that a batch should hold, or else none.
PARTNERS = 4


def directions(features: Tensor) -> Tensor:
    """Features ``[B, D]`` at length 1. Features of length 0 stay 0, with gradient 0."""
    length = features.norm(dim=1, keepdim=True)
    present = length > 0
    return torch.where(present, features / length.where(present, torch.ones_like(length)), torch.zeros_like(features))


def similarity_term(features: Tensor, labels: Tensor, temperature: float, denominator: Denominator) -> Tensor:
    """``-1/B sum_j log(sum_{k: y_k = y_j} exp(s_jk / T) / sum_k exp(s_jk / T))``, s being cosines.

    Args:
        features: ``[B, D]``; cosines with features of length 0 are 0.
        labels: int64 ``[B]``.
        temperature: T.
        denominator: ``all`` sums over the whole batch, k = j among it, which makes the term at least 0;
            ``other-class`` over ``y_k != y_j``, which makes it at least ``-2/T - log B``. An image without any other
            class in its batch then counts 0.

    Returns:
        A scalar.
    """
    unit = directions(features)
    scores = unit @ unit.T / temperature
    same = labels[:, None] == labels
    numerator = scores.masked_fill(~same, -torch.inf).logsumexp(1)  # an image is of its own class: never empty
    if denominator == "all":
        return (scores.logsumexp(1) - numerator).mean()
    compared = ~same.all(1)
    # Rows without another class are left whole: the gradient of an empty logsumexp is NaN, even times zero.
    others = scores.masked_fill(same & compared[:, None], -torch.inf).logsumexp(1)
    return torch.where(compared, others - numerator, torch.zeros_like(others)).mean()


def distance_term(features: Tensor, labels: Tensor, scale: DistanceScale) -> Tensor:
    """``1/B sum_j log(1 + sum_{k: y_k = y_j} ||g_j - g_k|| / d)`` of features ``[B, D]`` and labels int64 ``[B]``.

    ``d`` is D (``dimension``) or 1 (``none``). The gradient of a distance of 0 is taken to be 0. Returns a scalar.
    """
    # Not by way of scalar products, whose rounding makes distances, and gradients, of equal features.
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    sums = distances.masked_fill(labels[:, None] != labels, 0.0).sum(1)
    return torch.log1p(sums / features.shape[1] if scale == "dimension" else sums).mean()


def mutual_information_loss(
    features: Tensor,
    labels: Tensor,
    *,
    zeta: float,
    temperature: float,
    denominator: Denominator,
    distance_scale: DistanceScale,
) -> Tensor:
    """L_MI = :func:`similarity_term` + ``zeta`` * :func:`distance_term`, a scalar; it has a finite gradient everywhere.

    Args:
        features: floating ``[B, D]`` of perturbed images, B at least 1.
        labels: int64 ``[B]``.
        zeta: weight of the distances; at 0 they are not computed.
    """
    loss = similarity_term(features, labels, temperature, denominator)
    if zeta:
        loss = loss + zeta * distance_term(features, labels, distance_scale)
    return loss


def balanced_batches(labels: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of all images once, every class dealt to ``ceil(N / batch)`` batches in turn, like cards.

    A class with at least :data:`PARTNERS` images for every batch is dealt one by one, so that its counts in two batches
    differ by 1 at most. A smaller one is dealt in runs of :data:`PARTNERS` images or a few more, so that some batches
    hold none of it and no image is the only one of its class, unless it is so in the whole set. Batches are of about
    one size.

    Args:
        labels: int64 ``[N]`` on the CPU.
        batch: images in a batch, about.
        generator: decides which images meet, and which classes where these are dealt in runs.
    """
    count = len(labels)
    parts = -(-count // batch)
    order = torch.randperm(count, generator=generator)
    rank = torch.randperm(int(labels.max()) + 1, generator=generator)
    classes, by_class = rank[labels[order]].sort(stable=True)
    order = order[by_class]
    sizes = classes.bincount()
    place = torch.arange(count) - (sizes.cumsum(0) - sizes)[classes]
    runs = torch.where(sizes >= PARTNERS * parts, sizes, (sizes // PARTNERS).clamp(min=1))
    run = (runs.cumsum(0) - runs)[classes] + place * runs[classes] // sizes[classes]
    for part in range(parts):
        rows = order[run % parts == part]
        if len(rows):
            yield rows
