"""Projected gradient descent (PGD) in linf and l2 balls: the attack of adversarial training and robust accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import Budget, pgd

Norm = Literal["linf", "l2"]
Start = Literal["uniform", "gaussian"]
Mode = Literal["eval", "train"]

#: Deviation of a Gaussian start on the [0, 1] scale, for any radius (Zhang et al., ICML 2019).
GAUSSIAN_DEVIATION = 0.001

_IMAGE = (1, 2, 3)


def attack(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    *,
    epsilon: float,
    step: float,
    steps: int,
    norm: Norm = "linf",
    generator: torch.Generator,
    start: Start = "uniform",
    mode: Mode = "eval",
) -> Tensor:
    """Adversarial examples of ``x``: ascent on their cross-entropy within a ball (Madry et al., ICLR 2018).

    Every image has its own start. It takes ``steps`` steps of one length along the sign of its gradient (linf) or along
    the gradient itself (l2), and is brought back into the ball and into [0, 1] after each. One step of 1.25 epsilon
    from a uniform start is FGSM as Wong et al. (ICLR 2020, Algorithm 3) use it.

    With the model's own predictions of ``x`` as ``targets`` the ascent is that of TRADES (Zhang et al., ICML 2019): the
    Kullback-Leibler divergence from them is the cross-entropy less a constant. It has no gradient at ``x`` itself.

    Where no gradient passes the model at all, as through images of 8 bits, the start is kept.

    Pixels, perturbations and losses stay in the precision of ``x``, also under autocast, which only the model's own
    layers follow. The model is left unchanged, with no gradient on its weights; but in mode ``train`` its running
    statistics of batch norm have moved once per step.

    Args:
        model: takes images in [0, 1] to scores ``[B, K]``.
        x: images float32 ``[B, 3, H, W]`` in [0, 1], on the model's device; not modified.
        targets: probabilities ``[B, K]``, or class indices int64 ``[B]``.
        epsilon: radius of the ball: 8-bit units for ``linf``, the [0, 1] scale for ``l2``.
        step: length of a step in units of ``epsilon``.
        steps: number of steps; 0 leaves the start.
        norm: ``linf`` or ``l2``.
        generator: on the CPU; draws the starts.
        start: ``uniform`` in the ball, or ``gaussian`` of deviation :data:`GAUSSIAN_DEVIATION` and cut to the ball.
        mode: ``eval`` puts the model into eval mode for the attack; ``train`` leaves its modules as they are,
            which in training is train mode. The mode holds for all layers, dropout too.

    Returns:
        Images ``[B, 3, H, W]``, detached, within the ball up to rounding and in [0, 1].

    Raises:
        UsageError: if ``epsilon`` is not a valid radius of that norm.
    """
    radius = Budget(norm, epsilon).radius
    descent = pgd if norm == "linf" else descend_l2
    x = x.detach()

    def objective(perturbed: Tensor) -> Tensor:
        # A sum, so that an image's gradient does not depend on how many others are in its batch.
        value = -cross_entropies(scores_of(model, perturbed), targets).sum()
        # What has no gradient (8-bit images in the model) gets one of 0: there the start remains.
        return value if value.requires_grad else value + 0 * perturbed.sum()

    if start == "uniform":
        delta = uniform(x, norm, radius, generator)
    else:
        delta = gaussian(x, GAUSSIAN_DEVIATION, generator)
    with under_attack(model, mode):
        return x + descent(x, delta, objective, steps=steps, step=step * radius, radius=radius)


@contextmanager
def under_attack(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Freeze the weights inside, and in mode ``eval`` put the model into eval mode; afterwards restore both.

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


def uniform(x: Tensor, norm: Norm, radius: float, generator: torch.Generator) -> Tensor:
    """Perturbations uniform in the ball of ``radius``, independent for every image.

    Args:
        x: images ``[B, 3, H, W]``, used only for shape, dtype and device: the ball is not cut to [0, 1].
        norm: ``linf``, where every value is uniform; or ``l2``, a uniform direction at a distance of
            radius * u^(1/d), u uniform in [0, 1] and d the number of values.
        radius: on the [0, 1] scale.
        generator: on the CPU.
    """
    if norm == "linf":
        drawn = radius * (2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1)
    else:
        drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        share = torch.rand((len(x), 1, 1, 1), generator=generator, dtype=x.dtype)
        drawn *= radius * share ** (1 / x[0].numel()) / _length(drawn)
    return drawn.to(x.device)


def gaussian(x: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Perturbations of normal values, mean 0; arguments as of :func:`uniform`."""
    return deviation * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def within_l2(delta: Tensor, x: Tensor, radius: float) -> Tensor:
    """``delta`` shortened to ``radius``, then cut to what keeps ``x + delta`` in [0, 1].

    The cut only shortens values, so that the result lies in the ball as well as in the range; where both bind it need
    not be the nearest such point. All float32 ``[B, 3, H, W]``, ``x`` in [0, 1].
    """
    delta = delta * (radius / _length(delta).clamp_min(radius))
    return (x + delta).clamp(0.0, 1.0) - x


def descend_l2(
    x: Tensor, delta: Tensor, objective: Callable[[Tensor], Tensor], *, steps: int, step: float, radius: float
) -> Tensor:
    """Descent on ``objective(x + delta)`` over the l2 ball, by steps of one length along every image's gradient.

    The Euclidean counterpart of :func:`ucbench.pgd`, with its arguments and result. An image without
    gradient stays where it is.
    """
    delta = within_l2(delta, x, radius)
    for _ in range(steps):
        perturbed = (x + delta).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(objective(perturbed), perturbed)
        delta = within_l2(delta - step * _unit(gradient), x, radius)
    return delta.detach()


def _unit(gradient: Tensor) -> Tensor:
    # Divided by its largest value first: the squares of a confident model's tiny gradients would vanish.
    largest = gradient.abs().amax(_IMAGE, keepdim=True)
    scaled = gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)
    return scaled / _length(scaled).clamp_min(1.0)


def _length(values: Tensor) -> Tensor:
    """Euclidean length of every image ``[B, 1, 1, 1]``."""
    length: Tensor = torch.linalg.vector_norm(values, dim=_IMAGE, keepdim=True)
    return length
