"""The variance-preserving diffusion, there and back: its arithmetic, without any network.

A time is a number of noising steps, 0 the picture itself; ``kept`` is the share of variance left at a time, the
cumulative product of Ho et al. (2020). Pictures are on the [-1, 1] scale.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

#: A network: pictures ``[B, 3, H, W]`` and their time, to the noise in them.
Noise = Callable[[Tensor, int], Tensor]


def shares(products: Tensor) -> Tensor:
    """``kept`` of every time from 0, float64 ``[T + 1]``, of a schedule's cumulative products ``[T]``."""
    return torch.cat([torch.ones(1, dtype=torch.float64), products.double().cpu()])


def times(start: int, steps: int) -> list[int]:
    """``steps + 1`` times from ``start`` down to 0, as evenly spaced as whole numbers are; none twice."""
    return [round(start * left / steps) for left in range(steps, -1, -1)]


def noised(x: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Pictures ``x`` at the time of ``kept`` (Ho et al., 2020, equation 4)."""
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def step_back(x: Tensor, predicted: Tensor, kept: Tensor, after: Tensor, eta: float, noise: Tensor | None) -> Tensor:
    """Pictures at the time of ``kept`` brought back to the time of ``after`` (Song et al., 2021, equation 12).

    Args:
        x: ``[B, 3, H, W]``.
        predicted: the noise in ``x`` as a network has it.
        kept: share of variance left in ``x``.
        after: that of the result.
        eta: fresh noise as a share of DDPM's (Song et al., 2021, equation 16).
        noise: standard normal, of the shape of ``x``; not needed where ``eta`` is 0.
    """
    # The picture, were the noise all as predicted. Pictures have no values beyond these, whatever a network says.
    guess = ((x - (1 - kept).sqrt() * predicted) / kept.sqrt()).clamp(-1, 1)
    implied = (x - kept.sqrt() * guess) / (1 - kept).sqrt()
    fresh = eta * ((1 - after) / (1 - kept) * (1 - kept / after)).sqrt()
    back = after.sqrt() * guess + (1 - after - fresh.square()).clamp(min=0).sqrt() * implied
    return back if noise is None else back + fresh * noise


def purified(
    x: Tensor, predict: Noise, kept: Tensor, *, start: int, steps: int, eta: float, draw: Callable[[], Tensor]
) -> Tensor:
    """Pictures ``x`` ``[B, 3, H, W]`` noised to time ``start`` and walked back in ``steps`` steps.

    ``kept`` is float64 ``[T + 1]`` (see :func:`shares`); ``draw`` gives standard normal noise of the shape of ``x``.
    """
    way = times(start, steps)
    at = noised(x, draw(), kept[start])
    for now, after in pairwise(way):
        at = step_back(at, predict(at, now), kept[now], kept[after], eta, draw() if eta and after else None)
    return at
