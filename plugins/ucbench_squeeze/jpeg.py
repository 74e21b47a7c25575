"""JPEG compression (Liu et al., ICML 2023, arXiv 2301.13838)."""

from __future__ import annotations

import io
from collections.abc import Iterable

import torch
from PIL import Image
from torch import Tensor

from ucbench_squeeze.params import JPEGParams
from ucbench_squeeze.pictures import change_each
from ucbench_squeeze.squeezing import Squeezing


class JPEGCompression(Squeezing[JPEGParams]):
    """Write every picture as a JPEG file and read it again, with Pillow.

    The pixels are those of Pillow's encoder and decoder (libjpeg-turbo) at ``quality`` with ``subsampling`` and
    standard settings otherwise; ISS and APBench compress so, at 10 and 4:2:0. What blocks of 8 x 8 pixels lose depends
    on where they lie: pictures prepared once are compressed before the recipe's crop, as published; at random, after
    it, zeros of the crop's border included, as in APBench's UEraser (which draws one quality for a batch, here every
    picture has its own).
    """

    def squeeze(self, pixels: Tensor) -> Tensor:
        return self._compress(pixels, [self.params.quality] * len(pixels))

    def squeeze_at_random(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """With a quality for each picture, uniform among the integers of the range."""
        assert self.params.max_quality is not None
        low, high = self.params.quality, self.params.max_quality
        return self._compress(pixels, torch.randint(low, high + 1, (len(pixels),), generator=generator).tolist())

    def _compress(self, pixels: Tensor, qualities: Iterable[int]) -> Tensor:
        subsampling = ":".join(self.params.subsampling)

        def compress(picture: Image.Image, quality: int) -> Image.Image:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=quality, subsampling=subsampling)
            return Image.open(file)

        return change_each(pixels, compress, qualities)
