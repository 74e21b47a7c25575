"""Measuring what a release changed: norms, PSNR and SSIM."""

from __future__ import annotations

import math

import numpy as np

from ucbench.data.budget import BLOCK_VALUES, LEVELS, Changes, Floats, blocks, sizes, sum_squares
from ucbench.data.imageset import UInt8Images
from ucbench.errors import ContractError

#: Upper bound, in dB, of an image's PSNR in :func:`measure`; an unchanged image's would be infinite.
PSNR_CAP = 100.0


def measure(source: UInt8Images, release: UInt8Images, block_values: int = BLOCK_VALUES) -> dict[str, float]:
    """Measure what a release changed, image by image.

    Args:
        source: uint8 ``[N, 3, H, W]``.
        release: uint8 of the same shape, image i perturbed from image i of the source.
        block_values: values per block; affects memory only.

    Returns:
        ``linf_max`` and ``linf_mean`` over images in levels, ``l2_*`` on the [0, 1] scale, ``l0_*`` in pixels;
        ``psnr``, the mean over images in dB, each at most :data:`PSNR_CAP`; ``ssim``, the mean over images and channels
        (Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on
        Image Processing 13(4), 2004).

    Raises:
        ContractError: if the shapes differ or there are no images.
    """
    if source.shape != release.shape or not len(source):
        raise ContractError(f"Cannot measure a release of shape {list(release.shape)} from {list(source.shape)}.")
    columns: dict[str, list[Floats]] = {"linf": [], "l2": [], "l0": [], "psnr": [], "ssim": []}
    for block in blocks(source.shape, block_values):
        before, after = source[block], release[block]
        changes = np.subtract(after, before, dtype=np.int16)
        columns["linf"].append(sizes(changes, "linf"))
        columns["l2"].append(sizes(changes, "l2"))
        columns["l0"].append(sizes(changes, "l0"))
        columns["psnr"].append(_psnr(changes))
        columns["ssim"].append(_ssim(before, after))
    values = {name: np.concatenate(parts) for name, parts in columns.items()}
    result: dict[str, float] = {}
    for norm in ("linf", "l2", "l0"):
        result[f"{norm}_max"] = float(values[norm].max())
        result[f"{norm}_mean"] = float(values[norm].mean())
    return result | {name: float(values[name].mean()) for name in ("psnr", "ssim")}


def _psnr(changes: Changes) -> Floats:
    error = sum_squares(changes.astype(np.float64)) / math.prod(changes.shape[1:])
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(PSNR_CAP, 10 * np.log10(LEVELS**2 / error)))


def _ssim(before: UInt8Images, after: UInt8Images) -> Floats:
    """SSIM of each image, float64 ``[B]``: the mean over channels and all windows inside the image.

    The window is the paper's 11x11 Gaussian of sigma 1.5, cut to the largest odd side that fits into the image.

    ``kornia.metrics`` gives the same values, but not by default: SSIM in float64 without padding and epsilon, which
    takes 14 times as long on a core, and PSNR of one image at a time, since of a batch it takes the mean error first.
    """
    from scipy.ndimage import correlate1d

    side = min(11, *before.shape[2:])
    radius = (side - 1) // 2
    window = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def smooth(values: Floats) -> Floats:
        rows = correlate1d(values, window, axis=2)[:, :, radius : values.shape[2] - radius]
        return np.asarray(correlate1d(rows, window, axis=3)[..., radius : values.shape[3] - radius])

    x, y = before.astype(np.float64), after.astype(np.float64)
    mean_x, mean_y = smooth(x), smooth(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = smooth(x * y) - product
    variances = smooth(x**2 + y**2) - squares
    c1, c2 = (0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return np.asarray(similarity.mean(axis=(1, 2, 3)))
