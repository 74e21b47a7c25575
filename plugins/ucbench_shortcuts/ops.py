"""OPS, one-pixel shortcut (Wu et al., ICLR 2023, arXiv 2205.12141)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Perturbation, UsageError

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_shortcuts.params import OPSParams

#: Every channel dark or bright: int64 ``[8, 3]`` of 0 and 1.
COLOURS = np.array(list(itertools.product((0, 1), repeat=3)))
#: Images converted at once, which bounds the memory and changes no number.
_BLOCK = 512


class OnePixel:
    """Set one pixel of a class's (or cluster's) images to one colour: the pixel and colour they are stably far from.

    For every class, in order, the pair of pixel and colour is taken that has the largest mean over dispersion of
    ``|x - colour|`` in the images of the class, among the pairs not taken before: mean and standard deviation over
    images and channels jointly, as the released code, or mean and variance over images of the sum over channels, as
    the paper. Of pairs without any dispersion, as at a border that is black in all images, the one furthest away is
    taken; of equal ones the first in raster order. A class without images gets no pixel.
    """

    def __init__(self, params: OPSParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` of one pixel each, even if the budget allows more pixels.

        State: ``pixels`` int64 ``[K, 2]``, row and column, -1 where a class has no images; ``colours`` float32
        ``[K, 3]``.

        Raises:
            UsageError: if there are more classes than pairs of pixel and colour.
        """
        labels, count = train.known_labels, len(train.classes)
        present = np.unique(labels)
        width = train.size[1]
        pairs = train.size[0] * width * len(COLOURS)
        if len(present) > pairs:
            raise UsageError(f"ops: {train.name or 'the images'} have {pairs} pixels and colours, not {len(present)}.")
        free = np.ones(pairs, bool)
        pixels = np.full((count, 2), -1, np.int64)
        colours = np.zeros((count, 3), np.float32)
        delta = np.zeros(train.images.shape, np.float32)
        for label in present:
            members = np.flatnonzero(labels == label)
            pair = _best(train.images[members], free, self.params.dispersion == "std")
            free[pair] = False
            place, colour = divmod(pair, len(COLOURS))
            row, column = pixels[label] = divmod(place, width)
            colours[label] = COLOURS[colour]
            delta[members, :, row, column] = colours[label] - train.images[members, :, row, column] / np.float32(255)
        return Perturbation(delta, state={"pixels": pixels, "colours": colours})

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: object, run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The label of each image, which :meth:`transform` takes as index; None without labels."""
        return labels

    def transform(self, images: Tensor, index: Tensor, state: Mapping[str, NDArray[Any]]) -> Tensor:
        """Images ``[B, 3, H, W]`` with the pixel of class ``index[i]`` set; unchanged where the class has none."""
        pixels = torch.from_numpy(np.array(state["pixels"])).to(images.device)[index]
        colours = torch.from_numpy(np.array(state["colours"])).to(images.device)[index]
        marked = torch.nonzero(pixels[:, 0] >= 0)[:, 0]
        changed = images.clone()
        changed[marked, :, pixels[marked, 0], pixels[marked, 1]] = colours[marked]
        return changed


def distances(images: NDArray[np.uint8], jointly: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance ``[H * W * 8]`` of every pixel's distance to every colour, in images ``[N, 3, H, W]``.

    The distance is the absolute difference in levels: ``jointly``, mean and variance are those of all images' and
    channels' differences together; otherwise those over images of their sum over channels. As colours are at the ends
    of the scale a difference is linear in the pixel, so that sums of values and products give both, in whole numbers.
    """
    count, _, height, width = images.shape
    sums = np.zeros((3, height, width), np.int64)
    products = np.zeros((3, 3, height, width), np.int64)
    for begin in range(0, count, _BLOCK):
        block = images[begin : begin + _BLOCK].astype(np.int32)
        sums += block.sum(0)
        for a, b in itertools.combinations_with_replacement(range(3), 2):
            products[a, b] += (block[:, a] * block[:, b]).sum(0)
            products[b, a] = products[a, b]
    signs = 1 - 2 * COLOURS
    totals = np.einsum("kc,chw->hwk", signs, sums) + 255 * count * COLOURS.sum(1)
    if jointly:
        # (255 - x)^2 where the colour is bright, x^2 where it is dark.
        bright = np.einsum("kc,chw->hwk", COLOURS, 255**2 * count - 510 * sums)
        squares = bright + np.einsum("cchw->hw", products)[..., None]
        values = 3 * count
        return totals.ravel() / values, (values * squares - totals**2).ravel() / values**2
    covariance = count * products - sums[:, None] * sums
    squares = np.einsum("ka,kb,abhw->hwk", signs, signs, covariance)
    return totals.ravel() / count, squares.ravel() / count**2


def _best(images: NDArray[np.uint8], free: NDArray[np.bool_], released: bool) -> int:
    mean, variance = distances(images, jointly=released)
    dispersion = np.sqrt(variance) if released else variance
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(mean > 0, mean / dispersion, 0)
    score[~free] = -1
    equal = np.flatnonzero(score == score.max())
    return int(equal[mean[equal].argmax()])
