"""Perturbation budgets, and projection to them.

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

Changes = NDArray[np.int16]
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
            length = np.sqrt(sum_squares(delta))
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
        return np.asarray(np.sqrt(sum_squares(changes.astype(np.float64))) / LEVELS)
    if norm == "l0":
        return np.asarray(changes.any(axis=1).sum(axis=(1, 2)), np.float64)
    return np.asarray(np.abs(changes, dtype=np.int32).max(axis=(1, 2, 3), initial=0), np.float64)


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


def sum_squares(values: Floats) -> Floats:
    """Sum of squares of each image of ``[M, C, H, W]``: ``[M]``."""
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
