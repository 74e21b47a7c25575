"""Patterns constant on a grid of blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def on_grid(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Spread ``values`` ``[M, C, G, G]`` over images of ``size`` (height, width): float32 ``[M, C, H, W]``.

    Pixel row r shows grid row ``r * G // H``; blocks are equal where G divides the side and differ by a pixel
    elsewhere.
    """
    grid = values.shape[-1]
    rows = np.arange(size[0]) * grid // size[0]
    columns = np.arange(size[1]) * grid // size[1]
    return np.ascontiguousarray(values[:, :, rows][:, :, :, columns])
