"""Two-dimensional autoregressive processes: filters that predict a pixel from its neighbours, and noise they fill.

Filters are float64 ``[..., C, 3, 3]``, one 3 x 3 window a channel: the pixel at the window's last place is the sum of
the other eight, weighted; the last weight is 0. Noise is float64 ``[N, C, H, W]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHANNELS = 3
#: Rows and columns filled before those that are kept, so that little of the Gaussian start is left.
CROP = 4
#: Side of the pictures that the published limits are for.
REFERENCE = 32
#: Values of noise made at once, which bounds the memory and changes no number.
_VALUES = 1 << 22
#: Filters drawn at once in the search.
_DRAWN = 256


def draw_filters(count: int, rng: np.random.Generator) -> Floats:
    """``count`` filters of Gaussian weights, those of a channel divided by their sum, so that they add up to 1."""
    weights = rng.standard_normal((count, CHANNELS, 9))
    weights[..., 8] = 0
    weights /= weights.sum(-1, keepdims=True)
    return weights.reshape(count, CHANNELS, 3, 3)


def noise(filters: Floats, count: int, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """``count`` pictures of noise ``[count, C, H, W]``, each from a Gaussian start of its own.

    The start is the first two rows and columns of a canvas :data:`CROP` pixels larger; the other pixels follow in
    raster order, those of all pictures at once; then the first rows and columns are cut off.

    Args:
        filters: ``[count, C, 3, 3]``, or ``[1, C, 3, 3]`` for all.
    """
    height, width = size[0] + CROP, size[1] + CROP
    edge = 2 * width * CHANNELS
    start = rng.standard_normal((count, edge + 2 * (height - 2) * CHANNELS)).T
    # Pictures are the last axis: every step of the recurrence works on contiguous values.
    canvas = np.empty((height, width, CHANNELS, count))
    canvas[:2] = start[:edge].reshape(2, width, CHANNELS, count)
    canvas[2:, :2] = start[edge:].reshape(height - 2, 2, CHANNELS, count)
    weights = filters.transpose(2, 3, 1, 0)
    row = np.empty((width - 2, CHANNELS, count))
    for i in range(2, height):
        # What the two finished rows contribute, to the whole row at once.
        row[:] = 0
        for r, c in np.ndindex(2, 3):
            row += weights[r, c] * canvas[i - 2 + r, c : c + width - 2]
        for j in range(2, width):
            canvas[i, j] = row[j - 2] + weights[2, 0] * canvas[i, j - 2] + weights[2, 1] * canvas[i, j - 1]
    return canvas[CROP:, CROP:].transpose(3, 2, 0, 1)


def noise_blocks(filters: Floats, count: int, size: tuple[int, int], rng: np.random.Generator) -> Iterator[Floats]:
    """:func:`noise` of one filter ``[1, C, 3, 3]`` in blocks of bounded memory: the same numbers in the same order."""
    step = at_once(size)
    for begin in range(0, count, step):
        yield noise(filters, min(step, count - begin), size, rng)


def at_once(size: tuple[int, int]) -> int:
    """How many pictures of noise one block holds."""
    return max(1, _VALUES // (CHANNELS * (size[0] + CROP) * (size[1] + CROP)))


def responses(filters: Floats, patterns: Floats) -> Floats:
    """Response ``[N, K]`` of every filter's detector to every picture: 0 on noise that the filter filled.

    The detector subtracts a pixel from its prediction; its response is the sum over pixels of the positive part of
    the sum over channels. Pictures of less than three pixels a side have no window and give 0.
    """
    if min(patterns.shape[2:]) < 3:
        return np.zeros((len(patterns), len(filters)))
    detectors = filters.copy()
    detectors[..., 2, 2] = -1
    windows = sliding_window_view(patterns, (3, 3), (2, 3))
    return np.maximum(np.einsum("nchwij,kcij->nkhw", windows, detectors), 0).sum((2, 3))


def find_filters(
    count: int, size: tuple[int, int], rng: np.random.Generator, largest_norm: float, response: float, tries: int
) -> Floats:
    """Up to ``count`` filters ``[K, C, 3, 3]`` whose noise neither diverges nor passes for another's.

    Filters are drawn and tried on a picture of noise each. A filter is taken if the picture is no longer than
    ``largest_norm`` and every filter taken before it responds to the picture by at least ``response``. Both limits are
    for 32 x 32 pixels; at other sizes they apply to the root mean square and to the mean over windows. For larger
    pictures a filter must first keep to ``largest_norm`` on a picture of 32 pixels, which spares most of the work.

    Returns:
        The filters; fewer than ``count`` where ``tries`` draws in a row gave none that fits.
    """
    windows = max(0, size[0] - 2) * max(0, size[1] - 2) / (REFERENCE - 2) ** 2
    taken = np.empty((0, CHANNELS, 3, 3))
    spent = 0
    while len(taken) < count and spent < tries:
        drawn = draw_filters(min(_DRAWN, tries - spent), rng)
        spent += len(drawn)
        for candidate, pattern in _bounded(drawn, size, rng, largest_norm):
            if len(taken) < count and (responses(taken, pattern[None]) >= response * windows).all():
                taken = np.concatenate([taken, candidate[None]])
                spent = 0
    return taken


def _bounded(
    filters: Floats, size: tuple[int, int], rng: np.random.Generator, largest_norm: float
) -> Iterator[tuple[Floats, Floats]]:
    """The filters whose noise does not diverge, each with a picture of it."""
    small = min(size[0], REFERENCE), min(size[1], REFERENCE)
    patterns, short = _tried(filters, small, rng, largest_norm)
    if small == size:
        yield from zip(filters[short], patterns[short], strict=True)
        return
    step = at_once(size)
    for begin in range(0, int(short.sum()), step):
        promising = filters[short][begin : begin + step]
        patterns, still = _tried(promising, size, rng, largest_norm)
        yield from zip(promising[still], patterns[still], strict=True)


def _tried(
    filters: Floats, size: tuple[int, int], rng: np.random.Generator, largest_norm: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """A picture of every filter's noise, and whether it is short enough."""
    # Most filters diverge, many beyond what a float holds: infinity and NaN are not short either.
    with np.errstate(over="ignore", invalid="ignore"):
        patterns = noise(filters, len(filters), size, rng)
        mean_square = np.square(patterns).mean((1, 2, 3))
    return patterns, mean_square <= largest_norm**2 / (CHANNELS * REFERENCE**2)
