"""Perturbation budgets: projection, and measuring what a release changed.

A budget bounds the change of each image. Stored changes are whole 8-bit levels, so every projection ends in integers
and the budget holds *after* rounding.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucbench.errors import ContractError, UsageError
from ucbench.plugins.specs import Norm

LEVELS = 255
#: Values per block where images are processed block by block: some 340 images of 32 px, 7 of 224 px.
BLOCK_VALUES = 1 << 20
#: A projection that changes a value by less than this, on the [0, 1] scale, does not count as moving it.
TOLERANCE = 1e-6
#: Upper bound, in dB, of an image's PSNR in :func:`measure`; an unchanged image's would be infinite.
PSNR_CAP = 100.0

Changes = NDArray[np.int16]
UInt8Images = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """How much of each image a poisoner may change.

    Attributes:
        norm: ``linf``, ``l2``, ``l0`` or ``unbounded``.
        epsilon: 8-bit units for ``linf`` (8 means 8/255), Euclidean length on the [0, 1] scale for ``l2``, pixels (in
            any number of channels) for ``l0``; None for ``unbounded``.

    Raises:
        UsageError: if ``epsilon`` is missing, superfluous, not finite, or too small to change a pixel.
    """

    norm: Norm
    epsilon: float | None

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2", "l0", "unbounded"):
            raise UsageError(f"Unknown norm {self.norm!r}: use linf, l2, l0 or unbounded.")
        if self.norm == "unbounded":
            if self.epsilon is not None:
                raise UsageError(f"An unbounded budget has no epsilon, got {self.epsilon}.")
            return
        if self.epsilon is None or not math.isfinite(self.epsilon) or self.epsilon <= 0:
            raise UsageError(f"A budget in {self.norm} needs a finite epsilon above 0, got {self.epsilon}.")
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if self.norm == "linf":
            _check_levels(self.epsilon, repr(self.epsilon))
        if self.norm == "l0" and self.epsilon < 1:
            raise UsageError(f"An l0 epsilon counts pixels and must be at least 1, got {self.epsilon}.")

    def __str__(self) -> str:
        return self.norm if self.epsilon is None else f"{self.norm} {self.epsilon:g}"

    @property
    def radius(self) -> float:
        """Epsilon for float perturbations: [0, 1] scale (``linf``, ``l2``), pixels (``l0``), or infinity."""
        if self.epsilon is None:
            return math.inf
        return self.epsilon / LEVELS if self.norm == "linf" else self.epsilon

    def project(self, delta: NDArray[np.float32]) -> tuple[Changes, float]:
        """Project perturbations to the budget and round them to 8-bit levels.

        ``linf`` clips, and never rounds beyond a fractional epsilon. ``l2`` rescales, and shrinks further until the
        *rounded* length fits. ``l0`` keeps the pixels of the largest Euclidean length over the channels, the first ones
        of a tie. ``unbounded`` only clips to +-255 levels. Rounding is to nearest and symmetric in sign.

        Args:
            delta: float32 ``[M, 3, H, W]`` on the [0, 1] scale, possibly a memory map.

        Returns:
            Changes, int16 ``[M, 3, H, W]`` in levels; and the share of values that the projection, before rounding,
            moved by more than :data:`TOLERANCE`.

        Raises:
            ContractError: if ``delta`` holds NaN or infinity.
        """
        changes = np.empty(delta.shape, np.int16)
        moved = 0
        for block in blocks(delta.shape):
            exact = np.asarray(delta[block], np.float64)
            _check_finite(exact, block.start)
            projected = self._projected(exact)
            moved += int(np.count_nonzero(np.abs(projected - exact) > TOLERANCE))
            changes[block] = self._rounded(projected)
        return changes, moved / max(1, delta.size)

    def violation(self, changes: Changes) -> float:
        """By how much the largest of the changes, int16 ``[M, 3, H, W]``, exceeds epsilon, in its units; or 0.0."""
        if self.epsilon is None:
            return 0.0
        largest = max((sizes(changes[block], self.norm).max() for block in blocks(changes.shape)), default=0.0)
        return max(0.0, float(largest) - self.epsilon)

    def _projected(self, delta: Floats) -> Floats:
        if self.norm == "linf":
            return np.clip(delta, -self.radius, self.radius)
        if self.norm == "l2":
            length = np.sqrt(_sum_squares(delta))
            return delta * _per_image(self.radius / np.maximum(length, self.radius))
        if self.norm == "l0":
            return _keep_largest_pixels(delta, math.floor(self.radius))
        return delta

    def _rounded(self, delta: Floats) -> Changes:
        limit = math.floor(self.epsilon) if self.epsilon is not None and self.norm == "linf" else LEVELS
        changes = _round(delta, limit)
        if self.norm == "l2" and (too_long := sizes(changes, "l2") > self.radius).any():
            changes[too_long] = _shrink_until_rounded_fits(delta[too_long], self.radius)
        return changes


def parse_epsilon(text: str) -> float:
    """Read a ``linf`` epsilon in 8-bit units: ``8`` and ``8/255`` are both 8.0.

    Raises:
        UsageError: if the text is not a number, has another denominator, or lies outside 1..255.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/255)?", text.strip(), re.ASCII)
    if not match:
        raise UsageError(f"Epsilon {text!r} is not a number of 8-bit levels: write 8 or 8/255.")
    epsilon = float(match[1])
    _check_levels(epsilon, repr(text))
    return epsilon


def sizes(changes: Changes, norm: Norm) -> Floats:
    """Size of each of the changes, int16 ``[M, 3, H, W]`` in levels, as float64 ``[M]``.

    ``linf`` and ``unbounded`` in levels, ``l2`` on the [0, 1] scale, ``l0`` in pixels.
    """
    if norm == "l2":
        return np.asarray(np.sqrt(_sum_squares(changes.astype(np.float64))) / LEVELS)
    if norm == "l0":
        return np.asarray(changes.any(axis=1).sum(axis=(1, 2)), np.float64)
    return np.asarray(np.abs(changes, dtype=np.int32).max(axis=(1, 2, 3), initial=0), np.float64)


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


def blocks(shape: tuple[int, ...], block_values: int = BLOCK_VALUES) -> Iterator[slice]:
    """Slices that cover the first axis of ``shape``, each of at most ``block_values`` values, but at least one item."""
    step = max(1, block_values // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _check_levels(epsilon: float, written: str) -> None:
    if not 1 <= epsilon <= LEVELS:
        hint = " On the [0, 1] scale, write it as n/255." if 0 < epsilon < 1 else ""
        raise UsageError(f"A linf epsilon is a number of 8-bit levels from 1 to {LEVELS}, got {written}.{hint}")


def _check_finite(delta: Floats, start: int) -> None:
    finite = np.isfinite(delta)
    if not finite.all():
        index = [int(i) for i in np.argwhere(~finite)[0]]
        value = delta[tuple(index)]
        index[0] += start
        raise ContractError(f"The perturbation holds {value} at delta{index}: all values must be finite.")


def _per_image(values: Floats) -> Floats:
    return values[:, None, None, None]


def _sum_squares(values: Floats) -> Floats:
    return np.asarray(np.einsum("mchw,mchw->m", values, values))


def _round(delta: Floats, limit: int) -> Changes:
    # Clip first: values beyond int16 would wrap around.
    return np.rint(np.clip(delta * LEVELS, -limit, limit)).astype(np.int16)


def _shrink_until_rounded_fits(delta: Floats, radius: float) -> Changes:
    """Bisect each image's scale: the rounded length fits at scale 0 and is monotone in the scale.

    Equal values cross a rounding threshold together, in a flat pattern all of them. Those at the threshold are
    therefore rounded up one by one, spread over the image, while the length allows it.
    """
    low, high = np.zeros(len(delta)), np.ones(len(delta))
    for _ in range(12):
        middle = (low + high) / 2
        fits = sizes(_round(delta * _per_image(middle), LEVELS), "l2") <= radius
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    below = _round(delta * _per_image(low), LEVELS).reshape(len(delta), -1)
    above = _round(delta * _per_image(high), LEVELS).reshape(len(delta), -1)
    squares = np.square(below, dtype=np.int64)
    largest = math.ceil((radius * LEVELS) ** 2)
    while math.sqrt(largest) / LEVELS > radius:
        largest -= 1
    slack = largest - squares.sum(axis=1)
    golden_ratio = (math.sqrt(5) - 1) / 2
    order = np.argsort(np.arange(below.shape[1]) * golden_ratio % 1)
    costs = (np.square(above, dtype=np.int64) - squares)[:, order]
    result = below[:, order]
    np.copyto(result, above[:, order], where=costs.cumsum(axis=1) <= slack[:, None])
    changes = np.empty_like(below)
    changes[:, order] = result
    return changes.reshape(delta.shape)


def _keep_largest_pixels(delta: Floats, count: int) -> Floats:
    energy = np.einsum("mchw,mchw->mhw", delta, delta)
    # A stable sort: a partition breaks ties differently on different processors.
    order = np.argsort(-energy.reshape(len(delta), -1), axis=1, kind="stable")
    keep = np.zeros(order.shape, bool)
    np.put_along_axis(keep, order[:, :count], True, axis=1)
    return delta * keep.reshape(energy.shape)[:, None]


def _psnr(changes: Changes) -> Floats:
    error = _sum_squares(changes.astype(np.float64)) / math.prod(changes.shape[1:])
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(PSNR_CAP, 10 * np.log10(LEVELS**2 / error)))


def _ssim(before: UInt8Images, after: UInt8Images) -> Floats:
    """SSIM of each image, float64 ``[B]``: the mean over channels and all windows inside the image.

    The window is the paper's 11x11 Gaussian of sigma 1.5, cut to the largest odd side that fits into the image.
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
