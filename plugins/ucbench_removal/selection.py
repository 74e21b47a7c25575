"""Selection against shortcuts: of the images of a batch by their loss, and of the epoch by accuracy on clean images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import Params

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_removal.params import LossFilterParams


class LossFilter:
    """Leave the share of every batch with the lowest loss (or the highest) out of the batch's mean.

    Class-wise perturbations are learned before anything else, so images whose loss is low early are suspicious,
    especially where only a part of the set is protected. The choice is made batch by batch from the step's forward
    pass, as in online hard example mining (Shrivastava, Gupta, Girshick: Training Region-based Object Detectors with
    Online Hard Example Mining. CVPR 2016): no image is removed permanently, and it costs nothing. With
    ``drop=highest`` it keeps what agrees with the majority, the rule against wrong labels (Han et al.: Co-teaching.
    NeurIPS 2018), for comparison.
    """

    def __init__(self, params: LossFilterParams) -> None:
        self.params = params

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the images that are kept, a float32 scalar with gradients in the weights.

        Args:
            model: takes images in [0, 1] to scores ``[B, K]``; in train mode, so batch norm also sees those left out.
            x: images ``[B, 3, H, W]`` in [0, 1].
            targets: probabilities ``[B, K]``.
            run: its epoch, from 1, is compared with ``warmup``.
            generator: not used.
        """
        losses = F.cross_entropy(model(x).float(), targets, reduction="none")
        if run.epoch <= self.params.warmup:
            return losses.mean()
        count = max(1, len(losses) - int(self.params.share * len(losses)))
        return losses.topk(count, largest=self.params.drop == "lowest").values.mean()


class EarlyStopping:
    """Keep the weights of the epoch with the highest accuracy on the trusted set; of equal ones, the earliest.

    Victims of some methods learn real features before they find the shortcut, so that their best epoch is early. An
    exploiter with clean labelled images can find it. Training still runs to its end, so that the row costs
    as much as the others.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, scores: Sequence[float]) -> int:
        """The epoch, from 0, of the first of the highest accuracies so far."""
        return max(range(len(scores)), key=lambda epoch: scores[epoch])
