"""Objectives in expectation over random changes of the images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def expected(
    objective: Callable[[Tensor], Tensor],
    change: Callable[[Tensor, torch.Generator], Tensor],
    samples: int,
    generator: torch.Generator,
) -> Callable[[Tensor], Tensor]:
    """The sum of ``objective`` over ``samples`` random changes of the images, which every call draws anew.

    Expectation over transformations (Athalye et al., Synthesizing Robust Adversarial Examples, ICML 2018, arXiv
    1707.07397), as an objective of :func:`ucbench.pgd`, for which a sum is as good as a mean.

    Args:
        objective: a scalar function of images ``[B, 3, H, W]``.
        change: such as :class:`ucbench.CropFlip` or :class:`ucbench.ContrastiveViews`; differentiable.
        samples: changes of the batch per call, at least 1.
        generator: on the CPU, drawn from by ``change``.
    """

    def total(x: Tensor) -> Tensor:
        return torch.stack([objective(change(x, generator)) for _ in range(samples)]).sum()

    return total
