"""The formulas of ucbench that calls of kornia's functions replaced, for comparison with these.

Images are float32 ``[B, 3, H, W]`` in [0, 1], amounts ``[B]``, one per image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench import reflect_pad


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    return (x * _each(factor)).clamp(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    return _blend(luma(x).mean((2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    return _blend(luma(x), x, factor)


def luma(x: Tensor) -> Tensor:
    red, green, blue = x.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    inner = x[:, :, 1:-1, 1:-1]
    sharpened = _blend((9 * F.avg_pool2d(x, 3, stride=1) + 4 * inner) / 13, inner, factor)
    rows = torch.cat([x[:, :, 1:-1, :1], sharpened, x[:, :, 1:-1, -1:]], 3)
    return torch.cat([x[:, :, :1], rows, x[:, :, -1:]], 2)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(x >= _each(threshold - 1e-3) / 255, 1 - x, x)


def equalize(x: Tensor) -> Tensor:
    levels = (x * 255).round().long().flatten(2)
    histogram = torch.zeros((*levels.shape[:2], 256), dtype=torch.int64)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    step = (levels.shape[2] - histogram.gather(2, levels.amax(2, keepdim=True))) // 255
    curve = ((histogram.cumsum(2) - histogram + step // 2) // step.clamp_min(1)).clamp_max(255)
    return torch.where(step > 0, curve.gather(2, levels), levels).to(x.dtype).div_(255).view(x.shape)


def shear_x(x: Tensor, slope: Tensor) -> Tensor:
    return _sampled(x, torch.ones_like(slope), slope, slope * x.shape[2] / 2, torch.zeros_like(slope))


def translate_x(x: Tensor, pixels: Tensor) -> Tensor:
    none = torch.zeros_like(pixels)
    return _sampled(x, none + 1, none, -pixels.trunc(), none)


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    return _sampled(x, angle.cos(), -angle.sin(), torch.zeros_like(angle), angle.sin())


def blurred(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    taps = torch.arange(kernel) - kernel // 2
    weights = torch.exp(-0.5 * (taps / sigma[:, None]).square())
    weights = weights / weights.sum(1, keepdim=True)
    for dim in (2, 3):
        padded, side = reflect_pad(x, kernel // 2, (dim,)), x.shape[dim]
        x = torch.zeros_like(x)
        for tap in range(kernel):
            x.addcmul_(_each(weights[:, tap]), padded.narrow(dim, tap, side))
    return x.clamp(0, 1)


def _sampled(x: Tensor, scale: Tensor, across: Tensor, right: Tensor, along: Tensor) -> Tensor:
    """Show at ``(u, v)``, from the middle, what lay at ``(scale * u + across * v + right, along * u + scale * v)``."""
    height, width = x.shape[2:]
    theta = torch.zeros((len(x), 2, 3))
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = scale, across * (height / width), right * (2 / width)
    theta[:, 1, 0], theta[:, 1, 1] = along * (width / height), scale
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _blend(origin: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(origin.expand_as(x), x, _each(factor)).clamp(0, 1)


def _each(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]
