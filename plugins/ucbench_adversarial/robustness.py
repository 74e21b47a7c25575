"""Accuracy under attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench_adversarial.pgd import Norm, attack, scores_of, under_attack

if TYPE_CHECKING:
    from ucbench import MetricContext
    from ucbench_adversarial.params import RobustAccuracyParams


class RobustAccuracy:
    """Accuracy of the trained victim on the clean test set under PGD, in percent; see :func:`robust_accuracy`.

    The attack includes what defenses do to test images. Where that has no gradient (JPEG, few bits) the attack is
    blind, and the number says nothing about robustness.
    """

    def __init__(self, params: RobustAccuracyParams) -> None:
        self.params = params

    def compute(self, context: MetricContext) -> dict[str, float]:
        """``accuracy``: share of the drawn images that keep their label, in percent."""
        test, model, params = context.test, context.model, self.params
        order = np.random.RandomState(context.run.seed("images", bits=32)).permutation(len(test))
        drawn = test.subset(np.sort(order[: params.images]))
        return {
            "accuracy": robust_accuracy(
                model,
                drawn.images,
                drawn.known_labels,
                generator=context.run.generator("starts"),
                epsilon=params.epsilon,
                step=params.step,
                steps=params.steps,
                norm=params.norm,
                restarts=params.restarts,
                device=context.run.device,
            )
        }


def robust_accuracy(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    generator: torch.Generator,
    epsilon: float = 8.0,
    step: float = 0.1,
    steps: int = 20,
    norm: Norm = "linf",
    restarts: int = 1,
    batch: int = 250,
    device: torch.device | str = "cpu",
) -> float:
    """Share of images, in percent, that keep their label under PGD: an upper bound of robust accuracy.

    PGD-20 with steps of epsilon/10 is TRADES' white-box evaluation (Zhang et al., ICML 2019: 0.003 of 0.031). An image
    counts if the model in eval mode names its label on the image itself, which lies in the ball, and on the adversarial
    example of every restart; so the value exceeds neither clean accuracy nor that of fewer restarts.

    The model's weights, buffers, gradients and modes are left unchanged. To attack in low precision, call this within
    the engine's autocast scope.

    Args:
        model: takes images in [0, 1] to scores ``[B, K]``; on ``device``.
        images: uint8 ``[N, 3, H, W]``, N at least 1.
        labels: int64 ``[N]``.
        generator: on the CPU; draws the starts, so that equal generators and batches give equal numbers.
        epsilon, step, steps, norm: of the attack, as in :func:`ucbench_adversarial.pgd.attack`.
        restarts: attacks on every image, at least 1.
        batch: images attacked at once.
        device: where to compute.

    Raises:
        UsageError: if ``epsilon`` is not a valid radius of that norm.
    """

    def predicted(x: Tensor) -> Tensor:
        return scores_of(model, x).argmax(1)

    correct = torch.zeros((), dtype=torch.int64, device=device)
    with under_attack(model, "eval"):
        for first in range(0, len(images), batch):
            x = torch.from_numpy(images[first : first + batch].copy()).to(device).float().div_(255.0)
            y = torch.from_numpy(labels[first : first + batch].copy()).to(device)
            robust = predicted(x) == y
            for _ in range(restarts):
                attacked = attack(model, x, y, epsilon=epsilon, step=step, steps=steps, norm=norm, generator=generator)
                robust &= predicted(attacked) == y
            correct += robust.sum()
    return 100.0 * int(correct) / len(images)
