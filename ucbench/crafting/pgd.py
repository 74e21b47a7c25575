"""Signed, projected gradient steps on perturbations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def project(delta: Tensor, x: Tensor, radius: float) -> Tensor:
    """``delta`` cut to +-``radius``, then to what keeps ``x + delta`` in [0, 1]; all float32 ``[B, 3, H, W]``."""
    delta = delta.clamp(-radius, radius)
    return (x + delta).clamp(0.0, 1.0) - x


def pgd(
    x: Tensor, delta: Tensor, objective: Callable[[Tensor], Tensor], *, steps: int, step: float, radius: float
) -> Tensor:
    """Signed gradient descent on ``objective(x + delta)`` over the linf ball (PGD; Madry et al., ICLR 2018).

    Args:
        x: images ``[B, 3, H, W]`` in [0, 1].
        delta: where to start, within the ball; not modified.
        objective: a scalar of the perturbed images. Its negative makes this an ascent.
        steps: number of steps.
        step: length of a step on the [0, 1] scale; state it in proportion to ``radius``.
        radius: of the ball, on the [0, 1] scale.

    Returns:
        The new perturbations ``[B, 3, H, W]``, detached, within the ball and keeping the images in [0, 1].
    """
    delta = project(delta, x, radius)
    for _ in range(steps):
        perturbed = (x + delta).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(objective(perturbed), perturbed)
        delta = project(delta - step * gradient.sign(), x, radius)
    return delta.detach()
