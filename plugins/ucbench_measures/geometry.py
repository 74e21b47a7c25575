"""How a victim's features lie: their spread within classes, over the sphere, and between clean and perturbed images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ucbench import cosine_gap, mean_variance, random_basis, within_class, within_class_log_det
from ucbench_measures.pairs import feature_pairs

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_measures.params import FeatureParams

Values = dict[str, float | None]

_MEASURES = ("log_det", "trace", "cosine_gap")


class Covariance:
    """Within-class covariance of the victim's features of clean images, and of the same images, perturbed.

    Log-determinants are of at most 128 dimensions, to which features are projected at random, shrunk by 0.1 to the
    isotropic covariance of the same trace, and per dimension: about 0 for classes as wide as all clean images together,
    at least -6.9. Traces are relative to that of the total covariance of clean features. Labels are the exploiter's.
    """

    def __init__(self, params: FeatureParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """``log_det_*``, ``trace_*`` and ``cosine_gap_*`` (cosines within minus between classes) of both sides."""
        pairs = feature_pairs(context, self.params)
        values: Values = dict.fromkeys(f"{name}_{side}" for name in _MEASURES for side in ("clean", "perturbed"))
        if pairs is None:
            return {**values, "dimensions": None}
        basis = random_basis(pairs.clean.shape[1], context.run.generator("projection"))
        labels, scale, total = pairs.labels, 1.0, mean_variance(pairs.clean) * pairs.clean.shape[1]
        dimensions = 0
        for side, features in (("clean", pairs.clean), ("perturbed", pairs.perturbed)):
            narrow = features.double() if basis is None else features.double() @ basis
            scale = mean_variance(narrow) if side == "clean" else scale
            centred, freedom = within_class(features, labels)
            values[f"log_det_{side}"] = within_class_log_det(narrow, labels, scale)
            values[f"trace_{side}"] = float(centred.square().sum()) / freedom / total
            values[f"cosine_gap_{side}"] = cosine_gap(features, labels)
            dimensions = narrow.shape[1]
        return {**values, "dimensions": dimensions}


class Uniformity:
    """Alignment and uniformity of features at length 1 (Wang and Isola), and how far apart classes lie.

    A positive pair is an image with and without its perturbation. ``discrepancy`` and ``mmd`` are our reading of what
    Unlearnable Clusters (Zhang et al., CVPR 2023) calls discrepancy, of which no formula was available to us.
    """

    def __init__(self, params: FeatureParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> Values:
        """Of both sides ``uniformity_*`` and ``discrepancy_*``; of the pairs ``alignment`` and ``mmd``."""
        pairs = feature_pairs(context, self.params)
        if pairs is None:
            names = ("uniformity_clean", "uniformity_perturbed", "discrepancy_clean", "discrepancy_perturbed")
            return dict.fromkeys((*names, "alignment", "mmd"))
        clean, perturbed = (F.normalize(side.double(), dim=1) for side in (pairs.clean, pairs.perturbed))
        return {
            "alignment": float((clean - perturbed).square().sum(1).mean()),
            "uniformity_clean": uniformity(clean),
            "uniformity_perturbed": uniformity(perturbed),
            "discrepancy_clean": discrepancy(clean, pairs.labels),
            "discrepancy_perturbed": discrepancy(perturbed, pairs.labels),
            "mmd": mmd(clean, perturbed),
        }


def uniformity(unit: Tensor) -> float:
    """``log E exp(-2 |u - v|^2)`` over pairs of different images of ``[N, D]``; 0 where all are equal, else below."""
    return math.log(float(torch.exp(-2 * torch.pdist(unit) ** 2).mean()))


def discrepancy(features: Tensor, labels: Tensor) -> float | None:
    """Mean distance of two class centres over the root mean square distance of an image to its centre.

    ``features [N, D]``, ``labels [N]``; None with one class, or where no image differs from its centre.
    """
    centred, _ = within_class(features, labels)
    _, owner = labels.unique(return_inverse=True)
    centres = torch.zeros(int(owner.max()) + 1, features.shape[1], dtype=torch.float64)
    centres[owner] = features.double() - centred
    spread = math.sqrt(float(centred.square().sum(1).mean()))
    return float(torch.pdist(centres).mean()) / spread if len(centres) > 1 and spread > 1e-9 else None


def mmd(first: Tensor, second: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two sets ``[N, D]`` with the kernel ``exp(-2 |u - v|^2)``.

    Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012; the kernel is that of :func:`uniformity`. 0 on average for
    two sets drawn alike, so single values may be negative. Pairs of the same image count on neither side.
    """
    count = len(first)
    between = torch.exp(-2 * torch.cdist(first, second) ** 2).fill_diagonal_(0).sum() / (count * (count - 1))
    return math.exp(uniformity(first)) + math.exp(uniformity(second)) - 2 * float(between)
