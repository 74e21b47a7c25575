"""The arithmetic of a variance-preserving diffusion bridge (Zhou et al., ICLR 2024, arXiv 2309.16948).

Time runs from 0, the clean image, to 1, the protected one. Without the bridge, an image at time t would be
``alpha_t x + sigma_t z``; the bridge conditions this diffusion on its end. All coefficients are in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ucbench import as_double

#: Rates of the schedule at time 0, and what they grow by until time 1 (the paper's for variance-preserving bridges).
_FIRST, _GROWTH = 0.1, 2.0

#: A network: images ``[B, 3, H, W]`` of a time, the protected images, that time; to the clean images.
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]


def coefficients(times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shares of the protected and of the clean image at ``times`` ``[B]`` in [0, 1], and the noise's deviation.

    Equation 7 of the paper: ``x_t = a_t x_1 + b_t x_0 + c_t z``. At time 0 they are 0, 1, 0; at time 1, 1, 0, 0.
    """
    alpha, variance = _diffusion(as_double(times))
    last, most = _diffusion(torch.ones((), dtype=torch.float64))
    left = (last / alpha).square() * variance / most
    return alpha / last * left, alpha * (1 - left), (variance * (1 - left)).clamp(min=0).sqrt()


def _diffusion(times: Tensor) -> tuple[Tensor, Tensor]:
    """``alpha_t`` and the variance ``sigma_t^2 = 1 - alpha_t^2``."""
    exponent = -0.25 * _GROWTH * times.square() - 0.5 * _FIRST * times
    return exponent.exp(), -torch.expm1(2 * exponent)


def bridged(clean: Tensor, protected: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """Images ``[B, 3, H, W]`` at ``times`` ``[B]`` of the bridges from ``clean`` to ``protected``."""
    ends, starts, deviations = (value.to(clean).view(-1, 1, 1, 1) for value in coefficients(times))
    return ends * protected + starts * clean + deviations * noise


def walked_back(
    protected: Tensor, predict: Predict, evaluations: int, eta: float, draw: Callable[[], Tensor]
) -> Tensor:
    """Clean images ``[B, 3, H, W]`` for ``protected`` ones, in ``evaluations`` steps from time 1 to time 0.

    Every step predicts the clean image and moves to an earlier time of the bridge from there. Its noise is the one that
    the prediction implies, and a fresh share of it: all that the bridge adds between the two times where ``eta`` is 1.
    At time 1 there is none to imply, so the first step draws all of it.

    Args:
        draw: gives standard normal noise of the shape of ``protected``.
    """
    times = torch.linspace(1, 0, evaluations + 1, dtype=torch.float64)
    at = protected
    for now, after in pairwise(times):
        guess = predict(at, protected, now.expand(len(at)))
        end, start, deviation = (float(value) for value in coefficients(now))
        later_end, later_start, later = (float(value) for value in coefficients(after))
        if later == 0:
            at = later_end * protected + later_start * guess
            continue
        if deviation == 0:
            noise = draw()
        else:
            implied = (at - end * protected - start * guess) / deviation
            share = eta * fresh_share(now, after)
            noise = (1 - share**2) ** 0.5 * implied + share * draw()
        at = later_end * protected + later_start * guess + later * noise
    return at


def fresh_share(now: Tensor, after: Tensor) -> float:
    """Deviation of what is drawn anew from ``now`` back to ``after``, as a share of the bridge's at ``after``.

    What the diffusion adds between the two times, given both ends; all of it from time 1, where there is no noise yet.
    """
    (alpha, variance), (later, less) = _diffusion(now), _diffusion(after)
    last, most = _diffusion(torch.ones((), dtype=torch.float64))
    added = 1 - (alpha / later).square() * less / variance
    return float((added / (1 - (last / later).square() * less / most)).clamp(0, 1).sqrt())
