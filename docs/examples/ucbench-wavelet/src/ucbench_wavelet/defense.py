"""Soft thresholds for wavelet coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pywt
from numpy.typing import NDArray
from ucbench import UsageError

if TYPE_CHECKING:
    from ucbench import DefenseRun, ImageSet

    from ucbench_wavelet.params import WaveletParams

Floats = NDArray[np.float64]

#: Values transformed at once, which bounds the memory and changes no number.
_VALUES = 1 << 20
#: The median of |x| for x of the standard normal distribution.
_MEDIAN = 0.6744897501960817
#: RGB to full-range Y, Cb, Cr (ITU-R BT.601, as in JPEG files), without the offsets, which detail does not depend on.
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.299 / 1.772, -0.587 / 1.772, 0.5], [0.5, -0.587 / 1.402, -0.114 / 1.402]]
)
_TO_RGB = np.linalg.inv(_TO_YCBCR)


class WaveletDenoising:
    """Decomposes every training image into wavelets, moves detail towards 0 by a threshold, and recomposes the image.

    A perturbation of small, spread-out values has small coefficients everywhere, an image few and large ones, so the
    threshold removes mostly the perturbation. Each channel of each image is shrunk by itself. The noise's sigma is the
    median of the finest diagonal subband's absolute coefficients over 0.6745 (Donoho and Johnstone), unless one is
    given. With ``rule=bayes`` a subband's threshold is ``sigma**2 / sigma_x``, where ``sigma_x**2`` is its mean square
    less ``sigma**2``; a subband where that is not positive becomes 0. With ``rule=visu`` the threshold of all subbands
    is ``sigma * sqrt(2 ln(H W))``.

    Images are continued beyond their borders by reflection. The coarsest approximation stays as it is, and with it the
    frequencies below those of ``levels``. Nothing is random.
    """

    def __init__(self, params: WaveletParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The set with denoised pixels, uint8 of the same shape, rounded to the nearest level; labels as they were.

        Raises:
            UsageError: if the images are too small for one level of the wavelet.
        """
        levels = self.levels(train.size)
        images = np.empty(train.images.shape, np.uint8)
        advance = run.progress("shrinking wavelet coefficients", len(train))
        step = max(1, _VALUES // images[:1].size) if len(train) else 1
        for begin in range(0, len(train), step):
            block = slice(begin, begin + step)
            images[block] = self._denoised(train.images[block], levels)
            advance(len(images[block]))
        return train.with_images(images)

    def levels(self, size: tuple[int, int]) -> int:
        """The number of levels into which images of that height and width are decomposed.

        Raises:
            UsageError: as :meth:`prepare`.
        """
        largest: int = pywt.dwt_max_level(min(size), self.params.wavelet)
        if largest < 1:
            raise UsageError(
                f"wavelet-denoise: images of {size[0]}x{size[1]} pixels are too small for a level of "
                f"{self.params.wavelet}. Take a shorter wavelet: haar, of 2 pixels, or db2, of 4."
            )
        return min(self.params.levels, largest)

    def _denoised(self, images: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
        pixels = images.astype(np.float64)
        if self.params.colours == "ycbcr":
            pixels = np.einsum("dc,nchw->ndhw", _TO_YCBCR, pixels)
        coarse, *details = pywt.wavedec2(pixels, self.params.wavelet, "symmetric", levels)
        sigma = self._sigma(details[-1][2])
        shrunk = [tuple(_soft(band, self._threshold(band, sigma, images.shape)) for band in level) for level in details]
        height, width = images.shape[2:]
        # An image of odd sides comes back with one more row or column.
        pixels = pywt.waverec2([coarse, *shrunk], self.params.wavelet, "symmetric")[..., :height, :width]
        if self.params.colours == "ycbcr":
            pixels = np.einsum("cd,ndhw->nchw", _TO_RGB, pixels)
        return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)

    def _sigma(self, finest: Floats) -> Floats:
        """The noise's standard deviation ``[N, 3, 1, 1]``, by the finest diagonal subband ``[N, 3, h, w]``."""
        if self.params.sigma is not None:
            return np.full((*finest.shape[:2], 1, 1), self.params.sigma)
        return np.asarray(np.median(np.abs(finest), axis=(2, 3), keepdims=True) / _MEDIAN)

    def _threshold(self, band: Floats, sigma: Floats, shape: tuple[int, ...]) -> Floats:
        """Threshold ``[N, 3, 1, 1]`` of the coefficients ``[N, 3, h, w]``; infinity removes all of them."""
        if self.params.rule == "visu":
            return np.asarray(sigma * np.sqrt(2 * np.log(shape[2] * shape[3])))
        signal = np.sqrt(np.maximum(np.square(band).mean((2, 3), keepdims=True) - sigma**2, 0))
        return np.where(sigma > 0, np.divide(sigma**2, signal, out=np.full_like(signal, np.inf), where=signal > 0), 0.0)


def _soft(band: Floats, threshold: Floats) -> Floats:
    return np.sign(band) * np.maximum(np.abs(band) - threshold, 0)
