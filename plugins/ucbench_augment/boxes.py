"""Rectangles, one an image: int64 ``[B, 4]`` of top, left, bottom and right, on the CPU; bottom and right excluded."""

from __future__ import annotations

import torch
from torch import Tensor


def centred(height: Tensor, width: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes of ``height`` and ``width`` (int64 ``[B]``) around uniform pixels, clipped at the border of the picture."""
    count = len(height)
    sides = torch.stack([height, width], 1)
    limit = torch.tensor(size)
    centre = torch.stack([torch.randint(side, (count,), generator=generator) for side in size], 1)
    start = centre - sides // 2
    return torch.cat([start.clamp_min(0), torch.minimum(start + sides, limit)], 1)


def area(boxes: Tensor) -> Tensor:
    """Pixels in each box, int64 ``[B]``."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def inside(boxes: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """Whether a pixel lies in its picture's box: bool ``[B, 1, H, W]`` on ``device``."""
    top, left, bottom, right = boxes.to(device)[:, :, None].unbind(1)
    rows, columns = (torch.arange(side, device=device) for side in size)
    across = (rows >= top) & (rows < bottom)
    along = (columns >= left) & (columns < right)
    return (across[:, :, None] & along[:, None, :])[:, None]
