"""Changes of the tonal curve: images ``[B, 3, H, W]`` in [0, 1], some with one parameter an image ``[B]``.

The definitions are those of Pillow's ``ImageOps``. What rounds to levels of 8 bits has no gradient of its own; there,
the gradient goes straight through, as if the values had not been changed.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Part of a level by which a float32 pixel may miss the whole number it stands for.
_SLACK = 1e-3


def autocontrast(x: Tensor) -> Tensor:
    """Stretch every channel of every image to the full range; a channel of one value is left as it is."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high == low
    stretched = (x - low) / torch.where(flat, 1.0, high - low)
    return torch.where(flat, x, stretched).clamp(0, 1)


def equalize(x: Tensor) -> Tensor:
    """Even out the histogram of 256 levels of every channel of every image."""
    levels = (x.detach() * 255).round().long().flatten(2)
    histogram = torch.zeros((*levels.shape[:2], 256), dtype=torch.int64, device=x.device)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    # Pixels a level would hold, were all but the brightest ones spread evenly.
    step = (levels.shape[2] - histogram.gather(2, levels.amax(2, keepdim=True))) // 255
    below = histogram.cumsum(2) - histogram
    curve = ((below + step // 2) // step.clamp_min(1)).clamp_max(255)
    # So few pixels, or so few levels, that there is nothing to spread.
    equalized = torch.where(step > 0, curve.gather(2, levels), levels)
    return _straight_through(x, equalized.to(x.dtype).div_(255).view(x.shape))


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` (rounded, 0 to 8) of every value."""
    step = torch.exp2(8 - bits.round())[:, None, None, None]
    levels = (x.detach() * 255).round()
    return _straight_through(x, (levels / step).floor() * step / 255)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert values of at least ``threshold``, in 8-bit units."""
    limit = ((threshold - _SLACK) / 255)[:, None, None, None]
    return torch.where(x >= limit, 1 - x, x)


def _straight_through(x: Tensor, changed: Tensor) -> Tensor:
    return changed + (x - x.detach()) if x.requires_grad else changed
