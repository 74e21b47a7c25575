"""Balls around images: points drawn in them, and descent within the Euclidean one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]

_IMAGE = (1, 2, 3)


def uniform(x: Tensor, norm: Norm, radius: float, generator: torch.Generator) -> Tensor:
    """Perturbations uniform in the ball of ``radius``, every image's independent of the others'.

    Args:
        x: images ``[B, 3, H, W]``, which lend shape, precision and device alone: the ball is not cut to [0, 1].
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
    """Descent on ``objective(x + delta)`` over the l2 ball, by steps of one length along every image's own gradient.

    The Euclidean counterpart of :func:`ucbench.crafting.descend`, with its arguments and result. An image without
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
    # Divided by its largest value first: of a confident model's tiny gradients the squares would vanish.
    largest = gradient.abs().amax(_IMAGE, keepdim=True)
    scaled = gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)
    return scaled / _length(scaled).clamp_min(1.0)


def _length(values: Tensor) -> Tensor:
    """Euclidean length of every image ``[B, 1, 1, 1]``."""
    length: Tensor = torch.linalg.vector_norm(values, dim=_IMAGE, keepdim=True)
    return length
