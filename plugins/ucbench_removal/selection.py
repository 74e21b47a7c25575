"""Learning from the pictures of a batch that are not too easy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_removal.params import FilterParams


class LossFilter:
    """Leave the share of every batch with the lowest loss (or the highest) out of the batch's mean.

    Perturbations by class are learned before anything else, so pictures whose loss is low early are the suspicious
    ones, above all where only a part of the set is protected. The choice is made batch by batch from the step's own
    forward pass, as hard examples are mined online (Shrivastava, Gupta, Girshick: Training Region-based Object
    Detectors with Online Hard Example Mining. CVPR 2016): nothing is removed for good, and it costs nothing. With
    ``drop=highest`` it keeps what agrees with the majority, the rule for wrong labels (Han et al.: Co-teaching.
    NeurIPS 2018), for comparison.
    """

    def __init__(self, params: FilterParams) -> None:
        self.params = params

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the pictures that are kept, a float32 scalar with gradients in the weights.

        Args:
            model: takes images in [0, 1] to scores ``[B, K]``; in train mode, so batch norm sees those left out too.
            x: images ``[B, 3, H, W]`` in [0, 1].
            targets: probabilities ``[B, K]``.
            run: its epoch, from 1, is compared with ``warmup``.
            generator: not used.
        """
        losses = F.cross_entropy(model(x).float(), targets, reduction="none")
        if run.epoch <= self.params.warmup:
            return losses.mean()
        kept = max(1, len(losses) - int(self.params.share * len(losses)))
        return losses.topk(kept, largest=self.params.drop == "lowest").values.mean()
