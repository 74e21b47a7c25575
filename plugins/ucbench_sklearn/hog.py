"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), for all images at once."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

#: Cells along a side of a block.
BLOCK = 2
#: At which values of a normalised block are clipped (Lowe's choice for SIFT, which the paper takes over).
CLIP = 0.2
_EPSILON = 1e-6
#: Images at a time; the votes take 36 bytes a pixel.
_IMAGES = 256


def hog(images: NDArray[np.uint8], cell: int = 8, orientations: int = 9) -> NDArray[np.float32]:
    """The descriptors of images, float32 ``[N, D]``, non-negative.

    ``D`` is the number of blocks times 4 cells times ``orientations``. Cells and blocks lie centred in the image; what
    is left at its borders takes no part, except in gradients.

    Args:
        images: uint8 ``[N, 3, H, W]``, at least 4 pixels a side.
        cell: side of a cell in pixels; a block is 2x2 cells, and blocks start a cell apart. A cell is at most half the
            shorter side of the images.
        orientations: bins of directions over half a turn.
    """
    cell = min(cell, min(images.shape[2:]) // BLOCK)
    window = block_window(cell)
    parts = []
    for start in range(0, len(images), _IMAGES):
        votes = orientation_votes(torch.from_numpy(images[start : start + _IMAGES].copy()).float(), orientations)
        top, left = (votes.shape[2] % cell) // 2, (votes.shape[3] % cell) // 2
        votes = votes[:, :, top:, left:]
        count, bins, height, width = votes.shape
        # One weighted sum per place of a block, bin and cell of the block.
        sums = F.conv2d(votes.reshape(count * bins, 1, height, width), window[:, None], stride=cell)
        blocks = sums.reshape(count, bins * len(window), *sums.shape[2:]).permute(0, 2, 3, 1)
        parts.append(l2_hys(blocks).flatten(1))
    return torch.cat(parts).numpy()


def orientation_votes(x: Tensor, orientations: int) -> Tensor:
    """Every pixel's gradient magnitude, shared by the two bins nearest its direction: ``[N, orientations, H, W]``.

    Gradients are differences of the two neighbours, without smoothing, of the channel where they are largest. A
    direction and its opposite are the same. Bin ``b`` has its centre at ``(b + 1/2) / orientations`` of half a turn.

    Args:
        x: ``[N, 3, H, W]``.
    """
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    strongest = (across.square() + down.square()).argmax(1, keepdim=True)
    across, down = across.gather(1, strongest), down.gather(1, strongest)
    magnitude = torch.hypot(across, down)
    place = (torch.atan2(down, across) / torch.pi).remainder(1) * orientations - 0.5
    lower = place.floor()
    share = place - lower
    votes = x.new_zeros(len(x), orientations, *x.shape[2:])
    votes.scatter_add_(1, lower.long().remainder(orientations), magnitude * (1 - share))
    votes.scatter_add_(1, (lower.long() + 1).remainder(orientations), magnitude * share)
    return votes


def block_window(cell: int) -> Tensor:
    """The weight of every pixel of a block in each of its cells: ``[4, 2 * cell, 2 * cell]``.

    It is the product of a Gaussian about the block's centre, with half the block's side as deviation, and of linear
    weights, which fall from 1 at the centre of a cell to 0 at those of its neighbours.
    """
    side = BLOCK * cell
    places = torch.arange(side) + 0.5
    gaussian = torch.exp(-((places - side / 2) ** 2) / (2 * (side / 2) ** 2))
    centres = (torch.arange(BLOCK) + 0.5) * cell
    weights = gaussian * (1 - (places - centres[:, None]).abs() / cell).clamp(min=0)
    return torch.einsum("iy,jx->ijyx", weights, weights).reshape(BLOCK**2, side, side)


def l2_hys(blocks: Tensor) -> Tensor:
    """Blocks ``[..., D]`` at length 1, clipped at :data:`CLIP`, and at length 1 again; a block of zeros stays one."""
    clipped = (blocks / (blocks.square().sum(-1, keepdim=True) + _EPSILON**2).sqrt()).clamp(max=CLIP)
    return clipped / (clipped.square().sum(-1, keepdim=True) + _EPSILON**2).sqrt()
