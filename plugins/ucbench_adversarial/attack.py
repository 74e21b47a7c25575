"""Projected gradient descent (PGD): the attack of adversarial training, and of accuracy under attack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench.budget import Budget
from ucbench.crafting import descend
from ucbench_adversarial.balls import Norm, descend_l2, gaussian, uniform

Start = Literal["uniform", "gaussian"]
Mode = Literal["eval", "train"]

#: Deviation of a Gaussian start on the [0, 1] scale, whatever the radius (Zhang et al., ICML 2019).
GAUSSIAN_DEVIATION = 0.001


def pgd(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    *,
    epsilon: float,
    step: float,
    steps: int,
    norm: Norm = "linf",
    generator: torch.Generator,
    restarts: int = 1,
    start: Start = "uniform",
    mode: Mode = "eval",
) -> Tensor:
    """Adversarial examples of ``x``: ascent on their cross-entropy within a ball (Madry et al., ICLR 2018).

    From a start of its own every image takes ``steps`` steps along the sign of its gradient (linf) or along the
    gradient itself (l2), all of one length, and after each is brought back into the ball and into [0, 1]. One step of
    1.25 epsilon from a uniform start is FGSM as Wong et al. (ICLR 2020, Algorithm 3) use it.

    With the model's own predictions of ``x`` as ``targets`` the ascent is that of TRADES (Zhang et al., ICML 2019): the
    Kullback-Leibler divergence from them is the cross-entropy less a constant. It has no gradient at ``x`` itself.

    Pixels, perturbations and losses stay in the precision of ``x``, also under autocast, which only the model's own
    layers follow. The model comes out as it went in, with no gradient on its weights; in mode ``train`` its running
    statistics of batch norm have moved once a step (and twice more a restart beyond the first, which it takes to
    compare them).

    Args:
        model: takes images in [0, 1] to scores ``[B, K]``.
        x: images float32 ``[B, 3, H, W]`` in [0, 1], on the model's device; not modified.
        targets: probabilities ``[B, K]``, or class indices int64 ``[B]``.
        epsilon: radius of the ball: 8-bit units for ``linf``, the [0, 1] scale for ``l2``.
        step: length of a step in units of ``epsilon``.
        steps: number of steps; 0 leaves the start.
        norm: ``linf`` or ``l2``.
        generator: on the CPU; draws the starts.
        restarts: starts an image is given; the example of the highest loss is kept, image by image.
        start: ``uniform`` in the ball, or ``gaussian`` of deviation :data:`GAUSSIAN_DEVIATION` and cut to the ball.
        mode: ``eval`` puts the model into eval mode for the attack; ``train`` leaves its modules in the modes they are
            in, which in training is train mode. The model's other layers that differ (dropout) follow too.

    Returns:
        Images ``[B, 3, H, W]``, detached, within the ball up to rounding and in [0, 1].

    Raises:
        UsageError: if ``epsilon`` is no radius of that norm.
    """
    radius = Budget(norm, epsilon).radius
    descent = descend if norm == "linf" else descend_l2
    x = x.detach()

    def losses(perturbed: Tensor) -> Tensor:
        return cross_entropies(scores_of(model, perturbed), targets)

    def ascended() -> Tensor:
        if start == "uniform":
            delta = uniform(x, norm, radius, generator)
        else:
            delta = gaussian(x, GAUSSIAN_DEVIATION, generator)
        # A sum, so that an image's gradient does not depend on how many others are in its batch.
        return descent(x, delta, lambda p: -losses(p).sum(), steps=steps, step=step * radius, radius=radius)

    with under_attack(model, mode):
        worst = ascended()
        for _ in range(restarts - 1):
            other = ascended()
            worse = losses(x + other) > losses(x + worst)
            worst = torch.where(worse[:, None, None, None], other, worst)
    return x + worst


@contextmanager
def under_attack(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Freeze the weights inside, and in mode ``eval`` put the model into eval mode; afterwards all is as it was.

    Frozen weights get no gradient, and need no activations kept for one.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    try:
        for weight in weights:
            weight.requires_grad_(False)
        if mode == "eval":
            model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
        for weight in weights:
            weight.requires_grad_(True)


def scores_of(model: nn.Module, x: Tensor) -> Tensor:
    """The model's scores ``[B, K]`` of images ``x``, in float32 at least."""
    scores: Tensor = model(x.contiguous(memory_format=torch.channels_last))
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def cross_entropies(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every image ``[B]``; ``targets`` are probabilities ``[B, K]`` or class indices ``[B]``."""
    return F.cross_entropy(scores, targets, reduction="none")
