"""Image towers at another input size than they were trained at."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import UsageError

#: Pixels to which the residual towers' last feature map has one cell a side.
STRIDE = 32


def at_size(visual: Any, size: int | None) -> tuple[int, int]:
    """Make a loaded image tower take squares of ``size`` pixels; None leaves it as it is.

    Learned positions are resized: those of open_clip's transformers by open_clip while loading, those of the attention
    pool of its residual networks here (bicubic, as open_clip does elsewhere), and timm's towers by timm.

    Returns:
        Height and width of the input.

    Raises:
        UsageError: if the tower cannot have that size.
    """
    height, width = visual.image_size if isinstance(visual.image_size, tuple | list) else (visual.image_size,) * 2
    if size is None or (height, width) == (size, size):
        return height, width
    if hasattr(visual, "attnpool"):
        _resize_pool(visual.attnpool, size)
        return size, size
    try:
        visual.set_input_size((size, size))
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(
            f"This image tower cannot take size={size} ({type(error).__name__}: {error}). Leave it at {height}."
        ) from error
    return size, size


def _resize_pool(pool: Any, size: int) -> None:
    if size % STRIDE:
        raise UsageError(f"size={size}: CLIP's residual networks take multiples of {STRIDE} pixels.")
    positions: Tensor = pool.positional_embedding.detach()
    whole, cells = positions[:1], positions[1:]  # the mean of all cells has a position too
    side, grid = round(len(cells) ** 0.5), size // STRIDE
    square = cells.T.reshape(1, -1, side, side)
    with torch.no_grad():
        square = F.interpolate(square, (grid, grid), mode="bicubic", antialias=True, align_corners=False)
    pool.positional_embedding = nn.Parameter(torch.cat([whole, square.flatten(2)[0].T]), requires_grad=False)
