"""Images with and without their perturbation, and their features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Labels, layer_features

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_measures.params import FeatureParams


class Pairs(NamedTuple):
    """Images uint8 ``[N, 3, H, W]`` before and after, in the same order, with labels int64 ``[N]``."""

    clean: NDArray[np.uint8]
    perturbed: NDArray[np.uint8]
    labels: Labels


class FeaturePairs(NamedTuple):
    """Features float32 ``[N, D]`` of both sides, on the CPU, with labels int64 ``[N]``."""

    clean: Tensor
    perturbed: Tensor
    labels: Tensor


def training_pairs(context: MetricContext, count: int) -> Pairs:
    """Up to ``count`` training images, drawn by the cell's seed, with the exploiter's labels."""
    return _drawn(context, context.source, context.published, count)


def pairs(context: MetricContext, split: str, count: int) -> Pairs | None:
    """The same of a split; None for test images that the poisoner cannot perturb.

    Both sides of a release that changes nothing, as the clean reference, are the same images.
    """
    if split == "train":
        return training_pairs(context, count)
    perturbed = context.perturbed_test
    if perturbed is None and np.array_equal(context.source.images, context.published.images):
        perturbed = context.test
    return None if perturbed is None else _drawn(context, context.test, perturbed, count)


def _drawn(context: MetricContext, clean: ImageSet, perturbed: ImageSet, count: int) -> Pairs:
    order = torch.randperm(len(clean), generator=context.run.generator("pairs")).numpy()
    rows = np.sort(order[:count])
    return Pairs(clean.images[rows], perturbed.images[rows], clean.known_labels[rows])


def feature_pairs(context: MetricContext, params: FeatureParams) -> FeaturePairs | None:
    """Features of :func:`pairs` at a layer of the victim.

    Raises:
        UsageError: if the victim lacks the layer.
    """
    images = pairs(context, params.split, params.pairs)
    if images is None:
        return None
    clean, perturbed = (
        layer_features(context.model, side, params.layer, context.run.device)
        for side in (images.clean, images.perturbed)
    )
    return FeaturePairs(clean, perturbed, torch.from_numpy(images.labels.copy()))
