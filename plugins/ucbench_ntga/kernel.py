"""The neural tangent kernel of a fully connected network with erf, and what such a network predicts after a time.

Jacot et al., NeurIPS 2018, arXiv 1806.07572 (the kernel); Lee et al., NeurIPS 2019, arXiv 1902.06720 (the predictions).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

#: Added to the diagonal of a kernel, in units of its mean.
REGULAR = 1e-4
#: Eigenvalues that differ by less than this share count as equal.
EQUAL = 1e-6


def tangent_kernel(x: Tensor, z: Tensor, layers: int, weight: float, bias: float) -> Tensor:
    """``[N, M]`` between flattened images ``x`` ``[N, D]`` and ``z`` ``[M, D]``; differentiable in both.

    Args:
        layers: linear layers, each followed by erf, the last one too.
        weight: variance of the initial weights, times the number of a layer's inputs.
        bias: variance of the initial biases.
    """
    size = x.shape[1]
    xx, zz, xz = x.square().sum(1) / size, z.square().sum(1) / size, x @ z.T / size
    tangent: Tensor | float = 0.0
    for _ in range(layers):
        xx, zz, xz = (weight * each + bias for each in (xx, zz, xz))
        spread = (1 + 2 * xx)[:, None] * (1 + 2 * zz)
        tangent = (xz + weight * tangent) * (4 / math.pi) / (spread - 4 * xz.square()).sqrt()
        xz = 2 / math.pi * torch.asin(2 * xz / spread.sqrt())
        xx, zz = (2 / math.pi * torch.asin(2 * each / (1 + 2 * each)) for each in (xx, zz))
    assert isinstance(tangent, Tensor)
    return tangent


def coefficients(among: Tensor, targets: Tensor, time: float) -> Tensor:
    """``[N, K]``: kernels with the learned images ``[M, N]`` times these are what the network says of others.

    It has made ``time`` steps of gradient descent at rate 1 on half the mean squared error, from zero.

    Args:
        among: kernel of the learned images, ``[N, N]``; the diagonal is regularised.
        targets: of the learned images, ``[N, K]``; the error is a mean over all their values.
        time: number of steps, possibly fractional.
    """
    regular = among + REGULAR * among.diagonal().mean() * torch.eye(len(among), dtype=among.dtype, device=among.device)
    learned: Tensor = _Learned.apply(regular, time / targets.numel())
    return learned @ targets


class _Learned(torch.autograd.Function):
    """``K^-1 (1 - exp(-t K))`` of a symmetric positive definite K.

    The derivative of a function of a matrix (Daleckii and Krein): in the basis of the eigenvectors, entries are
    multiplied by divided differences of the function. Unlike the derivatives of eigenvectors they stay finite where
    eigenvalues are equal.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, time: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        ctx.save_for_backward(values, vectors)
        ctx.time = time
        learned: Tensor = vectors * _learned(values, time) @ vectors.T
        return learned

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        one, other = values[:, None], values[None, :]
        middle, distance = (one + other) / 2, one - other
        decay = torch.exp(-ctx.time * middle)
        slope = (ctx.time * decay * middle - (1 - decay)) / middle.square()
        near = distance.abs() <= EQUAL * middle
        risen = _learned(one, ctx.time) - _learned(other, ctx.time)
        differences = torch.where(near, slope, risen / torch.where(near, torch.ones_like(distance), distance))
        inside = vectors.T @ gradients[0] @ vectors
        return vectors @ (differences * inside) @ vectors.T, None


def _learned(values: Tensor, time: float) -> Tensor:
    return -torch.expm1(-time * values) / values
