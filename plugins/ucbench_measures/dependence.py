"""Dependence of two sets of features without densities: HSIC and linear CKA, both without bias."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def hsic(first: Tensor, second: Tensor) -> float:
    """The unbiased Hilbert-Schmidt independence criterion of two kernel matrices ``[N, N]``, N at least 4.

    Equation 5 of Song et al., Feature Selection via Dependence Maximization, JMLR 13, 2012. 0 on average for
    independent features, so single values may be negative.
    """
    count = len(first)
    k, l = (matrix.double().clone().fill_diagonal_(0) for matrix in (first, second))  # noqa: E741
    product = float((k * l).sum())
    sums = float(k.sum()) * float(l.sum()) / ((count - 1) * (count - 2))
    rows = 2 * float(k.sum(0) @ l.sum(0)) / (count - 2)
    return (product + sums - rows) / (count * (count - 3))


def gaussian_kernel(features: Tensor) -> Tensor:
    """``exp(-d^2 / (2 m^2))`` of the distances d in ``[N, D]``, m being their median; all 1 where that is 0."""
    distances = torch.cdist(features.double(), features.double())
    count = len(features)
    apart = distances[~torch.eye(count, dtype=torch.bool)]
    width = float(apart.median())
    return torch.exp(-(distances**2) / (2 * width**2)) if width > 0 else torch.ones_like(distances)


def linear_cka(first: Tensor, second: Tensor) -> float | None:
    """Linear centred kernel alignment of features ``[N, D]`` and ``[N, E]``: 1 for equal features, 0 on average for
    independent ones; None where either side is constant.

    Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019, with unbiased HSIC as Nguyen,
    Raghu and Kornblith, Do Wide and Deep Networks Learn the Same Things?, ICLR 2021: the plain formula is far above 0
    for independent features if there are not many more images than features. It does not change if features are
    rotated, shifted or scaled as a whole.
    """
    kernels = [centred @ centred.T for centred in (one.double() - one.double().mean(0) for one in (first, second))]
    scale = hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])
    return hsic(*kernels) / math.sqrt(scale) if scale > 0 else None
