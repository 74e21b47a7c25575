"""Differentiable resizing as one matrix product per side.

``torch.nn.functional.interpolate`` accumulates its gradient in no fixed order on GPUs. Matrix products have a fixed
order, so a craft that resizes inside its graph can be repeated byte for byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from ucbench.errors import ContractError

Mode = Literal["bilinear", "bicubic"]

#: Half-width of the filter in output pixels.
_RADIUS: dict[Mode, float] = {"bilinear": 1.0, "bicubic": 2.0}


def resize(x: Tensor, size: tuple[int, int], mode: Mode = "bicubic") -> Tensor:
    """Resize images to ``size``, antialiased where they shrink; differentiable in ``x`` any number of times.

    The values are those of ``interpolate(x, size, mode=mode, antialias=True)``: pixel centres at
    half-integers, the filter widened by the shrinking factor, its weights renormalised at the border. A
    bicubic result may leave the range of ``x`` by some percent; it is not clipped, since that would stop
    gradients.

    Args:
        x: images ``[B, C, H, W]``, float32 or float64.
        size: height and width of the result in pixels.
        mode: ``bilinear`` (triangle filter) or ``bicubic`` (Keys, 1981, a = -0.5).

    Returns:
        ``[B, C, *size]`` in the precision of ``x``, also under autocast: pixels in bfloat16 are coarser than
        the steps of a perturbation. A side that keeps its length is not touched.

    Raises:
        ContractError: for another number of dimensions, half-precision or integer ``x``, or an empty
        ``size``.
    """
    if x.ndim != 4 or x.dtype not in (torch.float32, torch.float64) or min(size) < 1:
        raise ContractError(
            "resize takes float32 or float64 images [B, C, H, W] and sides of at least one pixel,"
            f" got {x.dtype} {list(x.shape)} and {tuple(size)}."
        )
    height, width = size
    with torch.autocast(x.device.type, enabled=False):
        if x.shape[3] != width:
            x = x @ _weights(x.shape[3], width, mode, x.device, x.dtype).T
        if x.shape[2] != height:
            x = _weights(x.shape[2], height, mode, x.device, x.dtype) @ x
    return x


@lru_cache(maxsize=128)
def _weights(source: int, target: int, mode: Mode, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix ``[target, source]`` that resizes one side; rows sum to 1."""
    # A matrix that a first call under inference_mode had cached could not take part in a later backward pass.
    with torch.inference_mode(False):
        scale = source / target
        centres = (torch.arange(target, dtype=torch.float64, device="cpu") + 0.5) * scale
        pixels = torch.arange(source, dtype=torch.float64, device="cpu") + 0.5
        distances = (pixels[None, :] - centres[:, None]) / max(scale, 1.0)
        weights = _filter(distances.abs(), mode)
        return (weights / weights.sum(1, keepdim=True)).to(device, dtype)


def _filter(d: Tensor, mode: Mode) -> Tensor:
    """The filter's value at distances ``d`` >= 0, in output pixels."""
    if mode == "bilinear":
        values = 1.0 - d
    else:
        near = 1.5 * d**3 - 2.5 * d**2 + 1.0
        far = -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0
        values = torch.where(d < 1.0, near, far)
    return torch.where(d < _RADIUS[mode], values, 0.0)
