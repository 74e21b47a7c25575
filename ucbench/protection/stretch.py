"""How a pattern of the working size fits a photo of any size. A stand-in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stretched(changes: NDArray[np.int16], height: int, width: int, rows: slice) -> NDArray[np.int16]:
    """The pattern int16 ``[3, W, W]`` on a photo: int16 ``[3, rows, width]``."""
    side = min(height, width)
    down, across = (
        (np.arange(length) - (length - side) // 2) % side * changes.shape[1] // side for length in (height, width)
    )
    return np.asarray(changes[:, down[rows]][:, :, across])


def perturbed(pixels: NDArray[np.uint8], changes: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The photo uint8 ``[H, W, 3]`` with the pattern, clipped to 0..255."""
    result = np.empty_like(pixels)
    height, width = pixels.shape[:2]
    for start in range(0, height, 64):
        rows = slice(start, min(height, start + 64))
        pattern = stretched(changes, height, width, rows).transpose(1, 2, 0)
        np.clip(pixels[rows] + pattern, 0, 255, out=result[rows], casting="unsafe")
    return result
