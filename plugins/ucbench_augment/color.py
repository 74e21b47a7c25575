"""Changes of colour, sharpness and tone, and the random colour jitter made of them.

Operations take images ``[B, 3, H, W]`` in [0, 1], most of them with one parameter per image ``[B]``.

- ``brightness``, ``contrast``, ``saturation`` and ``sharpness`` follow Pillow's ``ImageEnhance``, without its rounding
  to 8 bits. A factor of 1 leaves an image unchanged; 0 leaves only what it is blended with: black, its mean grey, its
  grey, a smoothed copy.
- ``autocontrast``, ``equalize``, ``posterize`` and ``solarize`` follow Pillow's ``ImageOps``. Rounding to levels of 8
  bits has no gradient; there the gradient goes straight through, as if the values had not been changed.

kornia's functions compute all but three: ``hue`` and ``posterize``, several times slower there, and ``autocontrast``,
which there blackens channels of one value. docs/defenses.md has the measurements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import kornia.enhance
import torch
from torch import Tensor

from ucbench_augment.drawing import by_choice, on_share

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_augment.params import ColorJitterParams

#: Part of a level by which a float32 pixel may miss the whole number it stands for.
_SLACK = 1e-3


class ColorJitter:
    """Brightness, contrast, saturation and hue, each by a random amount and in a random order, per image.

    The default strengths are those of SimCLR at 32 pixels. Preset `imagenet` has SimCLR's strengths there;
    `orthogonal-projection` those with which that defense trains.
    """

    def __init__(self, params: ColorJitterParams) -> None:
        self.params = params
        changes = (
            (brightness, 1.0, params.brightness),
            (contrast, 1.0, params.contrast),
            (saturation, 1.0, params.saturation),
            (hue, 0.0, params.hue),
        )
        used = [change for change in changes if change[2] > 0]
        self._operations = [operation for operation, _, _ in used]
        self._middle = torch.tensor([middle for _, middle, _ in used])
        self._reach = torch.tensor([reach for _, _, reach in used])

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1]; about ``probability`` of them have other colours."""
        return on_share(x, self.params.probability, generator, self._changed)

    def _changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        shape = len(x), len(self._operations)
        values = self._middle + self._reach * (2 * torch.rand(shape, generator=generator) - 1)
        order = torch.rand(shape, generator=generator).argsort(1)
        for choice, value in zip(order.unbind(1), values.gather(1, order).unbind(1), strict=True):
            x = by_choice(x, choice, value, self._operations)
        return x


#: Scales every value.
brightness = kornia.enhance.adjust_brightness_accumulative
#: Scales the distance from the mean grey of the image.
contrast = kornia.enhance.adjust_contrast_with_mean_subtraction
#: Scales the distance from grey.
saturation = kornia.enhance.adjust_saturation_with_gray_subtraction


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from a smoothed image: 3 x 3 weights of 1, 5 in the middle; the border is unchanged."""
    if min(x.shape[2:]) < 3:
        return x
    with torch.autocast(x.device.type, enabled=False):
        return kornia.enhance.sharpness(x, factor)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` ``[B]`` of a full circle, in HSV; greys stay as they are."""
    value, lowest = x.amax(1), x.amin(1)
    chroma = value - lowest
    red, green, blue = x.unbind(1)
    # Without a hue any divisor serves: the quotient is multiplied by the chroma, 0.
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


def autocontrast(x: Tensor) -> Tensor:
    """Stretch every channel of every image to the full range; a channel of one value is unchanged."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high == low
    stretched = (x - low) / torch.where(flat, 1.0, high - low)
    return torch.where(flat, x, stretched).clamp(0, 1)


def equalize(x: Tensor) -> Tensor:
    """Even out the histogram of 256 levels of every channel of every image."""
    # kornia cuts fractions of a level off, which takes a value just below its level for the one beneath.
    return _straight_through(x, kornia.enhance.equalize((x.detach() * 255).round() / 255))


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` (rounded, 0 to 8) of every value."""
    step = torch.exp2(8 - bits.round())[:, None, None, None]
    levels = (x.detach() * 255).round()
    return _straight_through(x, (levels / step).floor() * step / 255)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert values of at least ``threshold``, in 8-bit units."""
    return kornia.enhance.solarize(x, (threshold - _SLACK) / 255)


def _straight_through(x: Tensor, changed: Tensor) -> Tensor:
    return changed + (x - x.detach()) if x.requires_grad else changed
