"""Random choices for the images of a batch: intervals, shares, one operation per image, boxes.

Everything is drawn and chosen on the CPU, so that no step waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Takes images ``[b, 3, H, W]`` and one parameter each ``[b]``, returns images.
Operation = Callable[[Tensor, Tensor], Tensor]
#: Takes images and the generator to draw from, returns images.
Change = Callable[[Tensor, torch.Generator], Tensor]


def uniform(interval: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """``count`` numbers between the ends of ``interval``, float32 on the CPU."""
    low, high = interval
    return low + (high - low) * torch.rand(count, generator=generator)


def on_share(x: Tensor, probability: float, generator: torch.Generator, change: Change) -> Tensor:
    """Apply ``change`` to each image of ``x`` ``[B, 3, H, W]`` with ``probability``, independently.

    ``change`` gets the chosen images as one batch. The others are returned unchanged.
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


def centred_boxes(height: Tensor, width: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes of ``height`` and ``width`` (int64 ``[B]``) around uniform pixels, clipped at the border of the image.

    Returns:
        int64 ``[B, 4]`` on the CPU: top, left, bottom and right, the last two excluded.
    """
    count = len(height)
    sides = torch.stack([height, width], 1)
    limit = torch.tensor(size)
    centre = torch.stack([torch.randint(side, (count,), generator=generator) for side in size], 1)
    start = centre - sides // 2
    return torch.cat([start.clamp_min(0), torch.minimum(start + sides, limit)], 1)


def inner_boxes(height: Tensor, width: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes of ``height`` and ``width`` (int64 ``[B]``, at most those of the image) uniform among those wholly inside.

    Returns:
        int64 ``[B, 4]``, as :func:`centred_boxes`.
    """
    sides = torch.stack([height, width], 1)
    start = (torch.rand(sides.shape, generator=generator) * (torch.tensor(size) - sides + 1)).long()
    return torch.cat([start, start + sides], 1)


def box_area(boxes: Tensor) -> Tensor:
    """Pixels in each box, int64 ``[B]``."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def in_box(boxes: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """Whether a pixel lies in its image's box: bool ``[B, 1, H, W]`` on ``device``."""
    top, left, bottom, right = boxes.to(device)[:, :, None].unbind(1)
    rows, columns = (torch.arange(side, device=device) for side in size)
    across = (rows >= top) & (rows < bottom)
    along = (columns >= left) & (columns < right)
    return (across[:, :, None] & along[:, None, :])[:, None]
