"""The loss that both kinds of noise move, and its mean over all images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import BiLevel, ImageSet, UsageError

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import SurrogateTraining


def prepared(train: ImageSet, run: CraftRun, params: SurrogateTraining) -> BiLevel:
    """A fresh surrogate and perturbations of zero for ``train``.

    Raises:
        UsageError: for a single image: batch norm needs two.
    """
    if len(train) < 2:
        raise UsageError(
            f"Error-minimising and error-maximising noise train a network, which needs 2 images; there is {len(train)}."
        )
    return BiLevel(
        train,
        run,
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
        clip_norm=params.clip_norm,
    )


def cross_entropy(network: nn.Module, labels: Tensor, autocast: torch.autocast) -> Callable[[Tensor], Tensor]:
    """The function of images ``[B, 3, H, W]`` whose value is their cross-entropy under ``labels`` ``[B]``, summed.

    A sum, so that an image's gradient does not depend on how many others are in its batch.
    """

    def loss(x: Tensor) -> Tensor:
        with autocast:
            scores = network(x.contiguous(memory_format=torch.channels_last))
        exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return F.cross_entropy(exact, labels, reduction="sum")

    return loss


@torch.no_grad()
def measured(bilevel: BiLevel, run: CraftRun, batch: int) -> dict[str, float]:
    """Mean ``loss`` and ``error`` (share in [0, 1]) of the network in eval mode on all perturbed images."""
    network = bilevel.frozen()
    loss, wrong = torch.zeros((2,), device=run.device)
    for indices in bilevel.batches(batch):
        with run.engine.autocast():
            scores = network(bilevel.poisoned(indices).contiguous(memory_format=torch.channels_last))
        labels = bilevel.labels[indices]
        loss += F.cross_entropy(scores.float(), labels, reduction="sum")
        wrong += (scores.argmax(1) != labels).sum()
    bilevel.thaw()
    return {"loss": float(loss) / len(bilevel), "error": float(wrong) / len(bilevel)}
