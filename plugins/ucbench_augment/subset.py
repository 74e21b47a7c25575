"""Apply operations to parts of a batch: a share of its images, or to each image the operation that was drawn for it.

Which images a part holds is decided on the CPU, so that no device is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Takes images ``[b, 3, H, W]`` and one parameter each ``[b]``, gives images.
Operation = Callable[[Tensor, Tensor], Tensor]
#: Takes images and the generator to draw from, gives images.
Change = Callable[[Tensor, torch.Generator], Tensor]


def on_share(x: Tensor, probability: float, generator: torch.Generator, change: Change) -> Tensor:
    """Replace each image of ``x`` ``[B, 3, H, W]``, independently with ``probability``, by what ``change`` makes of it.

    ``change`` gets the chosen images as one batch. The others come back as they were.
    """
    chosen = (torch.rand(len(x), generator=generator) < probability).nonzero().flatten()
    if len(chosen) == 0:
        return x
    if len(chosen) == len(x):
        return change(x, generator)
    index = chosen.to(x.device)
    return x.index_copy(0, index, change(x[index], generator))


def by_choice(x: Tensor, choice: Tensor, value: Tensor, operations: Sequence[Operation]) -> Tensor:
    """Apply ``operations[choice[b]]`` with parameter ``value[b]`` to image b.

    Args:
        x: images ``[B, 3, H, W]``.
        choice: int64 ``[B]``, on the CPU.
        value: float32 ``[B]``, on the CPU.
    """
    order = choice.argsort(stable=True)
    ends = choice.bincount(minlength=len(operations)).cumsum(0)[:-1]
    images = x[order.to(x.device)].tensor_split(ends)
    values = value[order].to(x.device).tensor_split(ends)
    done = [
        operation(part, parameter)
        for operation, part, parameter in zip(operations, images, values, strict=True)
        if len(part)
    ]
    return torch.cat(done)[order.argsort().to(x.device)]


def uniform(interval: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """``count`` numbers between the ends of ``interval``, float32 on the CPU."""
    low, high = interval
    return low + (high - low) * torch.rand(count, generator=generator)
