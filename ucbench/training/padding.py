"""Reflection padding by index."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def reflect_pad(x: Tensor, margin: int, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Pad ``x`` at both ends of ``dims`` by reflection, like ``numpy.pad(mode="reflect")``.

    The outermost entries are not repeated: 0 1 2 3 with a margin of 2 becomes 2 1 0 1 2 3 2 1. A margin larger than the
    side reflects several times; a side of 1 is repeated. Works for any dtype on any device; differentiable for floats.
    PyTorch's reflection padding takes neither uint8 nor a margin beyond the side, and its backward pass is not
    deterministic on GPUs.

    Args:
        x: of any shape, such as images ``[B, C, H, W]``; not modified.
        margin: entries to add at each end, at least 0.
        dims: the dimensions to pad, none of them of size 0.
    """
    for dim in dims:
        index = _reflected_index(x.shape[dim], margin).to(x.device)
        before, after = index[:margin], index[margin + x.shape[dim] :]
        # Selecting the inner entries too would take several times longer than to copy them.
        x = torch.cat([x.index_select(dim, before), x, x.index_select(dim, after)], dim)
    return x


def _reflected_index(side: int, margin: int) -> Tensor:
    """Source indices of the entries from ``-margin`` to ``side + margin - 1``: int64 ``[side + 2 * margin]``."""
    period = max(1, 2 * (side - 1))
    position = torch.arange(-margin, side + margin).remainder(period)
    return torch.minimum(position, period - position)
