"""Shrinking and enlarging again."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from ucbench_squeeze.params import ResizingParams
from ucbench_squeeze.pictures import change_each
from ucbench_squeeze.squeezing import Squeezing


class DownUpResizing(Squeezing[ResizingParams]):
    """Shrink every picture ``factor`` times by area averaging, and enlarge it to its size by bicubic interpolation.

    Sides that are no multiples of the factor are rounded up: 7 becomes 4. A pixel of the small picture is the mean of
    the pixels whose centres lie in its area; the interpolation is that of Keys (1981) with a = -0.5, clipped to 0 to
    255. Both are Pillow's (``BOX`` and ``BICUBIC``), which round to 8 bits after each of the two directions.

    Not among the squeezings of ISS; a plain form of the low-pass filters there.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        small = (-(-width // self.params.factor), -(-height // self.params.factor))

        def squeeze(picture: Image.Image) -> Image.Image:
            shrunk = picture.resize(small, Image.Resampling.BOX)
            return shrunk.resize((width, height), Image.Resampling.BICUBIC)

        return change_each(pixels, squeeze)
