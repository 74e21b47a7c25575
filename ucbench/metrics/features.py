"""The features a classifier decides by: what enters its last linear layer, taken along with its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class FeatureLog:
    """Penultimate features of every image that went through a watched model, in their order."""

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
            # A linear layer inside a block is not the classifier: only that one's output is the model's.
            if shape == output.shape and entered.ndim == 2:
                self._blocks.append(entered.detach().float().cpu())
        self._latest = None


@contextmanager
def capture_features(model: nn.Module | None) -> Iterator[FeatureLog]:
    """Collect the penultimate features of ``model`` (images to logits ``[B, K]``) while the scope lasts.

    None has none.
    """
    log = FeatureLog()
    if model is None:
        yield log
        return
    handles = [module.register_forward_hook(log._linear) for module in model.modules() if isinstance(module, nn.Linear)]
    handles.append(model.register_forward_hook(log._model))
    try:
        yield log
    finally:
        for handle in handles:
            handle.remove()
