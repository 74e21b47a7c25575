"""Progressive staged training (Dang et al., arXiv 2306.02064)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

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

    def rates(self, model: nn.Module, run: DefenseRun) -> dict[str, float]:
        """The factor of every parameter of a slow layer in the run's epoch, by name."""
        return dict.fromkeys(slow_parameters(model, self.share(run.epoch, run.epochs)), self.params.factor)

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


def slow_parameters(model: nn.Module, share: float) -> list[str]:
    """Names of the parameters of the model's first layers, a ``share`` rounded down; never those of the last layer."""
    layers = [
        [f"{name}.{part}" if name else part for part, _ in module.named_parameters(recurse=False)]
        for name, module in model.named_modules()
    ]
    layers = [layer for layer in layers if layer][:-1]
    slow = int(share * len(layers) + 1e-9)  # rounding must not leave a layer out
    return [name for layer in layers[:slow] for name in layer]
