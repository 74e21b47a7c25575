"""Penultimate features of a classifier (the input of its last linear layer), and how they separate classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureLog:
    """Penultimate features of every image that passed through a model, in order."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._latest: tuple[Tensor, torch.Size] | None = None

    @property
    def features(self) -> Tensor | None:
        """Float32 ``[N, D]`` on the CPU; None if the model does not end in a linear layer."""
        return torch.cat(self._blocks) if self._blocks else None

    def _linear(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._latest = inputs[0], output.shape

    def _model(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if self._latest is not None:
            entered, shape = self._latest
            # Only the last layer's output is the model's; linear layers inside blocks are ignored.
            if shape == output.shape and entered.ndim == 2:
                self._blocks.append(entered.detach().float().cpu())
        self._latest = None


@contextmanager
def capture_features(model: nn.Module | None) -> Iterator[FeatureLog]:
    """Collect the penultimate features of ``model`` (images to logits ``[B, K]``), if any, within the block."""
    log = FeatureLog()
    with ExitStack() as hooks:
        if model is not None:
            for module in model.modules():
                if isinstance(module, nn.Linear):
                    hooks.enter_context(module.register_forward_hook(log._linear))
            hooks.enter_context(model.register_forward_hook(log._model))
        yield log


def cosine_gap(features: Tensor, labels: Tensor) -> float | None:
    """Mean cosine of two images of the same class minus that of two images of different classes.

    Features after a ReLU have cosines in [0, 1], so neither mean is informative alone.

    Args:
        features: ``[N, D]`` on the CPU; cosines with features of length 0 are 0.
        labels: int64 ``[N]``.

    Returns:
        A number in [-2, 2], or None without a pair of either kind.
    """
    unit = F.normalize(features.double(), dim=1)
    classes = torch.unique(labels, return_inverse=True)[1]
    counts = classes.bincount()
    sums = unit.new_zeros(len(counts), unit.shape[1]).index_add_(0, classes, unit)
    within_pairs = int((counts * (counts - 1)).sum())
    between_pairs = len(labels) ** 2 - int(counts.square().sum())
    if not within_pairs or not between_pairs:
        return None
    same_class = float(sums.square().sum())
    within = same_class - float(unit.square().sum())
    between = float(unit.sum(0).square().sum()) - same_class
    return within / within_pairs - between / between_pairs
