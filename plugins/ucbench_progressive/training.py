"""Progressive staged training (Dang et al., arXiv 2306.02064)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_progressive.params import ProgressiveParams


class ProgressiveTraining:
    """Train in stages, in each of which more of the shallow layers learn slowly.

    Networks learn image content and perturbation alike at first. Then their shallow layers specialise in the
    perturbation, and deeper ones receive little else. Slow shallow layers put this off.
    """

    def __init__(self, params: ProgressiveParams) -> None:
        self.params = params

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Cross-entropy, a float32 scalar; its gradients in the weights of slow layers are scaled.

        Args:
            model: takes images in [0, 1] to scores ``[B, K]``.
            x: images ``[B, 3, H, W]`` in [0, 1].
            targets: probabilities ``[B, K]``.
            run: its epoch, from 1, decides the stage.
            generator: not used.
        """
        slow = slow_parameters(model, self.share(run.epoch, run.epochs))
        weights = {name: _scaled(weight, self.params.factor) for name, weight in slow.items()}
        scores: Tensor = functional_call(model, weights, (x,)) if weights else model(x)
        return F.cross_entropy(scores.float(), targets)

    def share(self, epoch: int, epochs: int) -> float:
        """Share of the layers that are slow in ``epoch`` (from 1) of ``epochs``; 0 outside a training."""
        if not epochs:
            return 0.0
        done, free = (epoch - 1) / epochs, self.params.free
        if done < free:
            return 0.0
        stages = self.params.stages
        # Rounding must not begin a stage late.
        return (min(stages - 1, int((done - free) / (1 - free) * stages + 1e-9)) + 1) / stages


def slow_parameters(model: nn.Module, share: float) -> dict[str, Tensor]:
    """Weights of the first ``share`` of the model's layers, rounded down, by name; never those of the last layer."""
    layers = [
        {f"{name}.{part}" if name else part: weight for part, weight in module.named_parameters(recurse=False)}
        for name, module in model.named_modules()
    ]
    layers = [layer for layer in layers if layer][:-1]
    return {name: weight for layer in layers[: int(share * len(layers))] for name, weight in layer.items()}


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


def _scaled(x: Tensor, factor: float) -> Tensor:
    """``x`` itself, whose gradient is ``factor`` times as large."""
    scaled: Tensor = _Scale.apply(x, factor)
    return scaled
