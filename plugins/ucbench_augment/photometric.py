"""Changes of colour and of sharpness: images ``[B, 3, H, W]`` in [0, 1], one factor an image ``[B]``.

A factor of 1 leaves an image as it is; 0 leaves what it is blended with: black, its mean grey, its grey, a smoothed
copy. The definitions are those of Pillow's ``ImageEnhance``, without its rounding to 8 bits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: ITU-R BT.601, as Pillow converts to grey.
_GREY = (0.299, 0.587, 0.114)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale every value."""
    return (x * _each(factor)).clamp(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the mean grey of the image."""
    return _blend(grey(x).mean((2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from grey."""
    return _blend(grey(x), x, factor)


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from a smoothed image: 3 x 3 weights of 1, 5 in the middle; the border is left as it is."""
    if min(x.shape[2:]) < 3:
        return x
    inner = x[:, :, 1:-1, 1:-1]
    smooth = (9 * F.avg_pool2d(x, 3, stride=1) + 4 * inner) / 13
    sharpened = _blend(smooth, inner, factor)
    rows = torch.cat([x[:, :, 1:-1, :1], sharpened, x[:, :, 1:-1, -1:]], 3)
    return torch.cat([x[:, :, :1], rows, x[:, :, -1:]], 2)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` ``[B]`` of a full circle, in HSV; greys stay as they are."""
    value, lowest = x.amax(1), x.amin(1)
    chroma = value - lowest
    red, green, blue = x.unbind(1)
    # Where there is no hue, any divisor will do: what it gives is multiplied by the chroma, 0.
    divisor = torch.where(chroma > 0, chroma, 1.0)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + 6 * shift[:, None, None]
    turned = []
    for offset in (5, 3, 1):
        place = torch.remainder(sixths + offset, 6)
        turned.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(turned, 1).clamp(0, 1)


def grey(x: Tensor) -> Tensor:
    """Luma ``[B, 1, H, W]``."""
    red, green, blue = x.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None]


def _blend(origin: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(origin.expand_as(x), x, _each(factor)).clamp(0, 1)


def _each(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]
