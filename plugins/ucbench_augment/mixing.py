"""Mixing every image with another one of its batch: CutMix and mixup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ucbench_augment.drawing import box_area, centred_boxes, in_box, inner_boxes

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import CutMixParams, MixingParams, MixupParams


class CutMix:
    """CutMix (Yun et al. 2019): a rectangle of a partner is pasted over the image, labels mix by the share left of it.

    A rectangle of the image's proportions and of the area ``1 - share`` surrounds a uniformly drawn pixel and is
    clipped at the border, or with ``inside`` is uniform among those wholly inside. A label's weight is the share of
    pixels that are then its image's, exactly. Share and box are drawn for every image, and so is whether it is mixed.
    Partners are a random permutation of the batch: every image is pasted once (possibly onto itself).
    """

    def __init__(self, params: CutMixParams) -> None:
        self.params = params

    def mix(self, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixed images ``[B, 3, H, W]`` and mixed targets ``[B, K]``."""
        for _ in range(self.params.times):
            x, targets = self._mixed(x, targets, generator)
        return x, targets

    def _mixed(self, x: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        size = x.shape[2], x.shape[3]
        partner = torch.randperm(len(x), generator=generator).to(x.device)
        cut = (1 - _shares(self.params, len(x), generator)).sqrt()
        boxes_of = inner_boxes if self.params.inside else centred_boxes
        boxes = boxes_of((cut * size[0]).long(), (cut * size[1]).long(), size, generator)
        mixed = torch.where(in_box(boxes, size, x.device), x[partner], x)
        if self.params.labels:
            shares = 1 - box_area(boxes).double() / (size[0] * size[1])
            targets = _blend(targets, partner, shares)
        return mixed, targets


class Mixup:
    """mixup (Zhang et al. 2018): every image is blended with a partner, and so are their labels.

    Every image draws its share from Beta(alpha, alpha). Partners are a random permutation of the batch.
    """

    def __init__(self, params: MixupParams) -> None:
        self.params = params

    def mix(self, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixed images ``[B, 3, H, W]`` and mixed targets ``[B, K]``."""
        partner = torch.randperm(len(x), generator=generator).to(x.device)
        shares = _shares(self.params, len(x), generator)
        return _blend(x, partner, shares), _blend(targets, partner, shares) if self.params.labels else targets


def _shares(params: MixingParams, count: int, generator: torch.Generator) -> Tensor:
    """What every image keeps of itself, float64 ``[count]`` in [0, 1]: 1 for those that are not mixed."""
    is_mixed = torch.rand(count, generator=generator) < params.probability
    if params.share is None:
        # torch cannot draw from a Beta distribution with a given generator.
        rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
        share = torch.from_numpy(rng.beta(params.alpha, params.alpha, count))
    else:
        share = torch.full((count,), params.share, dtype=torch.float64)
    return torch.where(is_mixed, share, 1.0)


def _blend(values: Tensor, partner: Tensor, own: Tensor) -> Tensor:
    """``own * values + (1 - own) * values[partner]``, one share per entry of the first dimension."""
    weight = own.to(values).view(-1, *[1] * (values.ndim - 1))
    return weight * values + (1 - weight) * values[partner]
