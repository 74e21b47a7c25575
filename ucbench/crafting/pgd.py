"""Signed, projected gradient steps on perturbations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def project(delta: Tensor, x: Tensor, radius: float) -> Tensor:
    """``delta`` clipped to +-``radius``, then so that ``x + delta`` is in [0, 1]; all float32 ``[B, 3, H, W]``."""
    delta = delta.clamp(-radius, radius)
    return (x + delta).clamp(0.0, 1.0) - x


def pgd(
    x: Tensor, delta: Tensor, objective: Callable[[Tensor], Tensor], *, steps: int, step: float, radius: float
) -> Tensor:
    """Signed gradient descent on ``objective(x + delta)`` over the linf ball (PGD; Madry et al., ICLR 2018).

    Args:
        x: images ``[B, 3, H, W]`` in [0, 1].
        delta: the start; not modified.
        objective: a scalar function of the perturbed images; negate it to ascend.
        steps: number of steps.
        step: length of a step on the [0, 1] scale, best a multiple of ``radius``.
        radius: of the ball, on the [0, 1] scale.

    Returns:
        The perturbations ``[B, 3, H, W]`` after the last step, detached, projected by :func:`project`.
    """
    delta = project(delta, x, radius)
    for _ in range(steps):
        perturbed = (x + delta).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(objective(perturbed), perturbed)
        delta = project(delta - step * gradient.sign(), x, radius)
    return delta.detach()
