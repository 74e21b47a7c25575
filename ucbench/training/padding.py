"""Reflection padding of any type on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def reflect_pad(x: Tensor, margin: int, dims: Sequence[int] = (-1, -2)) -> Tensor:
    """Pad ``x`` at both ends of ``dims`` by reflection, like ``numpy.pad(mode="reflect")``.

    The outermost entries are not repeated: 0 1 2 3 with a margin of 2 becomes 2 1 0 1 2 3 2 1. A margin larger than the
    side reflects several times; a side of 1 is repeated. Works for any dtype on any device; differentiable for floats.
    PyTorch's reflection padding takes neither uint8 nor a margin beyond the side, and its backward pass is not
    deterministic on GPUs.

    Args:
        x: of any shape, such as images ``[B, C, H, W]``; not modified.
        margin: entries to add at each end, at least 0.
        dims: the dimensions to pad, in this order, in which gradients are summed; none of them of size 0.
    """
    for dim in dims:
        left = margin
        while left:
            side = x.shape[dim]
            edge = min(1, side - 1)  # 0 for a side of 1, which is repeated
            part = min(left, max(1, side - 1))
            before, after = (x.narrow(dim, start, part).flip(dim) for start in (edge, side - edge - part))
            x = torch.cat([before, x, after], dim)
            left -= part
    return x
