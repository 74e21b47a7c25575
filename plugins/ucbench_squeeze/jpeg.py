"""JPEG compression (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from ucbench_squeeze.params import GrayscaleParams, ISSParams, JPEGParams
from ucbench_squeeze.pixelwise import Grayscale
from ucbench_squeeze.squeezing import Squeezing, change_each

if TYPE_CHECKING:
    from ucbench import DefenseRun


class JPEGCompression(Squeezing[JPEGParams]):
    """Write every image as a JPEG file and read it again, with Pillow; or compute nearly that with a gradient.

    With ``codec=pillow`` the pixels are those of Pillow's encoder and decoder (libjpeg-turbo) at ``quality`` with
    ``subsampling`` and standard settings otherwise; ISS and APBench do the same, at 10 and 4:2:0. What blocks of 8 x 8
    pixels lose depends on where they lie. Images prepared once are compressed before the recipe's crop, as published.
    At random they are compressed after it, including the zeros that the crop adds at the border, as in APBench's
    UEraser (which draws one quality per batch, where this draws one per image).

    With ``codec=kornia`` every training batch, and with ``at_test`` every test batch, passes through
    ``kornia.enhance.jpeg_codec_differentiable`` in floats (Reich et al., Differentiable JPEG: The Devil Is in the
    Details, WACV 2024, arXiv 2309.06978): chroma 4:2:0, nothing rounded to 8 bits, and coefficients rounded by a
    polynomial whose slope is not 0. Attacks thus get a gradient through it. On images with the spectrum of photographs,
    its values are 3 levels from Pillow's on average, at any quality; Pillow itself moves those of 32 pixels by 25, 19
    and 12 levels at qualities 10, 50 and 90.
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        return self._compress(pixels, [self.params.quality] * len(pixels))

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """With a quality for each image, uniform among the integers of the range."""
        return self._compress(pixels, self._drawn(len(pixels), generator).tolist())

    def _drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """A quality per image, int64 ``[count]``; the fixed one where there is no range."""
        low, high = self.params.quality, self.params.max_quality or self.params.quality
        return torch.randint(low, high + 1, (count,), generator=generator)

    def _compress(self, pixels: Tensor, qualities: Iterable[int]) -> Tensor:
        subsampling = ":".join(self.params.subsampling)

        def compress(image: Image.Image, quality: int) -> Image.Image:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=subsampling)
            return Image.open(file)

        return change_each(pixels, compress, qualities)

    def _augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        if self.params.codec == "pillow":
            return super()._augment(x, run, generator)
        return _differentiable(x, self._drawn(len(x), generator))

    def _squeeze_batch(self, x: Tensor) -> Tensor:
        if self.params.codec == "pillow":
            return super()._squeeze_batch(x)
        return _differentiable(x, torch.tensor([self.params.quality]))


class ImageShortcutSqueezing(Squeezing[ISSParams]):
    """Take the colours out of the images, then write and read them as JPEG, by :class:`JPEGCompression`."""

    def __init__(self, params: ISSParams) -> None:
        super().__init__(params)
        self._parts = (Grayscale(GrayscaleParams()), JPEGCompression(JPEGParams(quality=params.quality)))

    def squeeze(self, pixels: Tensor) -> Tensor:
        for part in self._parts:
            pixels = part.squeeze(pixels)
        return pixels


def _differentiable(x: Tensor, quality: Tensor) -> Tensor:
    """Compressed copies of ``x``, float32 ``[B, 3, H, W]`` in [0, 1], with a quality for each image or one for all."""
    from kornia.enhance import jpeg_codec_differentiable  # Pillow's codec does not need it

    return jpeg_codec_differentiable(x, quality.to(x)).clamp(0.0, 1.0)
