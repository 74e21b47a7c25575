"""MINE: mutual information as the largest Donsker-Varadhan bound that a small network finds.

Belghazi et al., Mutual Information Neural Estimation, ICML 2018, arXiv:1801.04062.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import rankdata
from torch import Tensor

from ucbench_measures.estimators import Floats

#: Units of each of the two hidden layers.
WIDTH = 16
#: Steps of Adam, each on all samples that are fitted, and its rate.
STEPS = 100
RATE = 0.01
#: Pairings of the other half's samples that the bound's second term is averaged over.
_PAIRINGS = 10


def mine(x: Floats, y: Floats, generator: torch.Generator) -> Floats:
    """The bound ``E[T(x, y)] - log E[exp T(x, y')]`` of S pairs of variables ``[S, N]``, as ``[S]`` in nats.

    One network T per pair is fitted on half of the samples, y' being a random pairing, and the bound is computed on the
    other half: overfitting lowers it, and on average it does not exceed the information. All networks of a call are
    trained together, on the CPU, from ``generator``, so that equal generators give equal values. Variables enter as
    normal scores of their ranks, which leaves their information as it is.
    """
    pairs, count = x.shape
    order = torch.randperm(count, generator=generator)
    half = count // 2
    first, second = (torch.from_numpy(_scores(one)).float()[:, order] for one in (x, y))
    weights = _weights(pairs, generator)
    moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in weights]
    for step in range(1, STEPS + 1):
        bound = _bound(weights, first[:, :half], second[:, :half], 1, generator).sum()
        slopes = torch.autograd.grad(-bound, weights)
        with torch.no_grad():
            for weight, slope, (mean, square) in zip(weights, slopes, moments, strict=True):
                mean.lerp_(slope, 0.1)
                square.lerp_(slope.square(), 0.001)
                scale = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
                weight.sub_(RATE / (1 - 0.9**step) * mean / scale)
    with torch.no_grad():
        bounds = _bound(weights, first[:, half:], second[:, half:], _PAIRINGS, generator)
    return np.asarray(bounds.double().numpy())


def _scores(x: Floats) -> Floats:
    """Normal scores of the ranks; equal samples get the same."""
    return np.asarray(ndtri((rankdata(x, axis=1) - 0.5) / x.shape[1]))


def _weights(pairs: int, generator: torch.Generator) -> list[Tensor]:
    """Weights and biases of three layers for every pair, as He et al. initialise them; the last begins at 0."""
    sizes = [2, WIDTH, WIDTH, 1]
    weights = []
    for inside, outside in itertools.pairwise(sizes):
        drawn = torch.randn((pairs, inside, outside), generator=generator) * math.sqrt(2 / inside)
        weights += [drawn if outside > 1 else torch.zeros_like(drawn), torch.zeros((pairs, 1, outside))]
    return [weight.requires_grad_() for weight in weights]


def _bound(weights: list[Tensor], x: Tensor, y: Tensor, pairings: int, generator: torch.Generator) -> Tensor:
    """The bound ``[S]`` on samples ``[S, n]``; y' is drawn ``pairings`` times."""
    joint = _statistic(weights, x, y).mean(1)
    count = x.shape[1]
    apart = [_statistic(weights, x, y[:, torch.randperm(count, generator=generator)]) for _ in range(pairings)]
    return joint - (torch.cat(apart, 1).logsumexp(1) - math.log(pairings * count))


def _statistic(weights: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    values = torch.stack([x, y], 2)
    for layer in range(3):
        values = torch.baddbmm(weights[2 * layer + 1], values, weights[2 * layer])
        values = values.relu() if layer < 2 else values
    return values.squeeze(2)
