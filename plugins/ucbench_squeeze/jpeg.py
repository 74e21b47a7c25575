"""JPEG compression (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

import io
from collections.abc import Iterable

import torch
from PIL import Image
from torch import Tensor

from ucbench_squeeze.params import JPEGParams
from ucbench_squeeze.squeezing import Squeezing, change_each


class JPEGCompression(Squeezing[JPEGParams]):
    """Write every image as a JPEG file and read it again, with Pillow.

    The pixels are those of Pillow's encoder and decoder (libjpeg-turbo) at ``quality`` with ``subsampling`` and
    standard settings otherwise; ISS and APBench do the same, at 10 and 4:2:0. What blocks of 8 x 8 pixels lose depends
    on where they lie. Images prepared once are compressed before the recipe's crop, as published. At random they are
    compressed after it, including the zeros that the crop adds at the border, as in APBench's UEraser (which draws one
    quality per batch, where this draws one per image).
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        return self._compress(pixels, [self.params.quality] * len(pixels))

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """With a quality for each image, uniform among the integers of the range."""
        assert self.params.max_quality is not None
        low, high = self.params.quality, self.params.max_quality
        return self._compress(pixels, torch.randint(low, high + 1, (len(pixels),), generator=generator).tolist())

    def _compress(self, pixels: Tensor, qualities: Iterable[int]) -> Tensor:
        subsampling = ":".join(self.params.subsampling)

        def compress(image: Image.Image, quality: int) -> Image.Image:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=subsampling)
            return Image.open(file)

        return change_each(pixels, compress, qualities)
