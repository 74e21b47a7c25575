"""AR, autoregressive perturbations (Sandoval-Segura et al., NeurIPS 2022, arXiv 2206.03693).

Filters are float64 ``[..., C, 3, 3]``, one 3 x 3 window per channel: the pixel at the window's last place is the
weighted sum of the other eight; the last weight is 0. Noise is float64 ``[N, C, H, W]``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation, UsageError

if TYPE_CHECKING:
    from ucbench import Budget, CraftRun
    from ucbench_shortcuts.params import ARParams

Floats = NDArray[np.float64]

CHANNELS = 3
#: Rows and columns filled before those that are kept, so that little of the Gaussian start is left.
CROP = 4
#: Side of the images that the published limits are for.
REFERENCE = 32
#: Values of noise made at once, which bounds the memory and changes no number.
_VALUES = 1 << 22
#: Filters drawn at once in the search.
_DRAWN = 256


class Autoregressive:
    """Every image gets its own noise, filled by the autoregressive process of its class (or cluster).

    A convolution with the class's filter detects its noise exactly, for any Gaussian start.

    The noise fills ``run.budget``. The paper's l2 length grows with the side of the images: 1.0 at 32 pixels, 3.0 at
    96. A budget of another length gives a warning.
    """

    def __init__(self, params: ARParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` of full radius in the budget's norm, l2 or linf.

        State: ``filters`` float64 ``[K, 3, 3, 3]``, and ``labels`` int64 ``[N]``, whose noise each perturbation is.

        Raises:
            UsageError: if the budget has another norm, or there is no filter for some class.
        """
        if run.budget.norm not in ("l2", "linf"):
            raise UsageError(f"ar fills l2 and linf budgets, not {run.budget}.")
        _compare_with_paper(run.budget, train.size, run)
        labels, filters = train.known_labels, self._filters(train, run)
        delta = np.empty(train.images.shape, np.float32)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            rng = np.random.default_rng(run.seed(f"noise-{label}"))
            done = 0
            for block in noise_blocks(filters[label, None], len(members), train.size, rng):
                delta[members[done : done + len(block)]] = self._fitted(block, run.budget)
                done += len(block)
        return Perturbation(delta, state={"filters": filters, "labels": labels.copy()})

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: Mapping[str, NDArray[Any]], run: CraftRun
    ) -> NDArray[np.int64] | None:
        """One of the perturbations of each image's own label, int64 ``[B]``, chosen by a checksum of its pixels.

        None without labels, or with a label that no perturbation was made for.
        """
        if labels is None or not np.isin(labels, state["labels"]).all():
            return None
        members = {label: np.flatnonzero(state["labels"] == label) for label in np.unique(labels)}
        index = np.empty(len(labels), np.int64)
        for i, (image, label) in enumerate(zip(images.images, labels, strict=True)):
            rows = members[label]
            index[i] = rows[zlib.crc32(np.ascontiguousarray(image).data) % len(rows)]
        return index

    def _filters(self, train: ImageSet, run: CraftRun) -> Floats:
        params, wanted = self.params, len(train.classes)
        rng = np.random.default_rng(run.seed("filters"))
        response = params.least_response(wanted)
        filters = find_filters(wanted, train.size, rng, params.largest_norm, response, params.tries)
        if len(filters) < wanted:
            raise UsageError(
                f"ar: found filters for {len(filters)} of {wanted} classes and then none in {params.tries} draws. Lower"
                f" response={response:g}, or raise largest_norm={params.largest_norm:g} or tries."
            )
        return filters

    def _fitted(self, noise: Floats, budget: Budget) -> Floats:
        values = noise.reshape(len(noise), -1)
        if budget.norm == "l2":
            length = np.sqrt(np.square(values).sum(1))
        elif self.params.fit == "scale":
            length = np.abs(values).max(1)
        else:
            length = np.sqrt(np.square(values).mean(1))
        fitted: Floats = noise * (budget.radius / length)[:, None, None, None]
        return np.clip(fitted, -budget.radius, budget.radius) if budget.norm == "linf" else fitted


def _compare_with_paper(budget: Budget, size: tuple[int, int], run: CraftRun) -> None:
    paper = math.sqrt(size[0] * size[1]) / REFERENCE
    if budget.norm == "l2" and not math.isclose(budget.radius, paper, rel_tol=0.1):
        run.warn(
            f"ar: images of {size[0]}x{size[1]} pixels get noise of l2 length {budget.radius:g}; the paper's is 1 at"
            f" 32x32 and {paper:.2g} at this size, for equal noise per pixel."
        )


def draw_filters(count: int, rng: np.random.Generator) -> Floats:
    """``count`` filters of Gaussian weights, those of a channel divided by their sum, so that they add up to 1."""
    weights = rng.standard_normal((count, CHANNELS, 9))
    weights[..., 8] = 0
    weights /= weights.sum(-1, keepdims=True)
    return weights.reshape(count, CHANNELS, 3, 3)


def noise(filters: Floats, count: int, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """``count`` images of noise ``[count, C, H, W]``, each from its own Gaussian start.

    The start is the first two rows and columns of a canvas :data:`CROP` pixels larger; the other pixels follow in
    raster order, those of all images at once; then the first rows and columns are cut off.

    Args:
        filters: ``[count, C, 3, 3]``, or ``[1, C, 3, 3]`` for all.
    """
    height, width = size[0] + CROP, size[1] + CROP
    edge = 2 * width * CHANNELS
    start = rng.standard_normal((count, edge + 2 * (height - 2) * CHANNELS)).T
    # Images are the last axis: every step of the recurrence works on contiguous values.
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
    """How many images of noise one block holds."""
    return max(1, _VALUES // (CHANNELS * (size[0] + CROP) * (size[1] + CROP)))


def responses(filters: Floats, patterns: Floats) -> Floats:
    """Response ``[N, K]`` of every filter's detector to every image: 0 on noise that the filter filled.

    The detector subtracts a pixel from its prediction; its response is the sum over pixels of the positive part of
    the sum over channels. Images with a side below three pixels have no window and give 0.
    """
    if min(patterns.shape[2:]) < 3:
        return np.zeros((len(patterns), len(filters)))
    detectors = filters.copy()
    detectors[..., 2, 2] = -1
    windows = sliding_window_view(patterns, (3, 3), (2, 3))
    response: Floats = np.maximum(np.einsum("nchwij,kcij->nkhw", windows, detectors), 0).sum((2, 3))
    return response


def find_filters(
    count: int, size: tuple[int, int], rng: np.random.Generator, largest_norm: float, response: float, tries: int
) -> Floats:
    """Up to ``count`` filters ``[K, C, 3, 3]`` whose noise neither diverges nor resembles another's.

    Filters are drawn and tried on one image of noise each, of 32 pixels a side at most. A filter is taken if the image
    is no longer than ``largest_norm`` and every filter taken before responds to the image, scaled to length 1, by at
    least ``response``. Both limits are for 32 x 32 pixels; for smaller images lengths are read as root mean squares,
    and the response as its mean over windows. For larger ones an image of their size must keep ``largest_norm`` too,
    likewise.

    Returns:
        The filters; fewer than ``count`` if ``tries`` draws in a row gave none that fits.
    """
    small = min(size[0], REFERENCE), min(size[1], REFERENCE)
    taken = np.empty((0, CHANNELS, 3, 3))
    spent = 0
    while len(taken) < count and spent < tries:
        drawn = draw_filters(min(_DRAWN, tries - spent), rng)
        spent += len(drawn)
        patterns, short = _tried(drawn, small, rng, largest_norm)
        for candidate, pattern in zip(drawn[short], patterns[short], strict=True):
            if len(taken) == count or not _differs(pattern, taken, response):
                continue
            if small != size and not _tried(candidate[None], size, rng, largest_norm)[1].all():
                continue
            taken = np.concatenate([taken, candidate[None]])
            spent = 0
    return taken


def _differs(pattern: Floats, filters: Floats, response: float) -> bool:
    """Whether every filter responds enough to a noise image ``[C, H, W]``."""
    windows = max(0, pattern.shape[1] - 2) * max(0, pattern.shape[2] - 2) / (REFERENCE - 2) ** 2
    unit = pattern / (math.sqrt(CHANNELS * np.square(pattern).mean()) * REFERENCE)
    return bool((responses(filters, unit[None]) >= response * windows).all())


def _tried(
    filters: Floats, size: tuple[int, int], rng: np.random.Generator, largest_norm: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """An image of every filter's noise, and whether it is short enough."""
    # Most filters diverge, many beyond what a float holds: infinity and NaN are not short either.
    with np.errstate(over="ignore", invalid="ignore"):
        patterns = noise(filters, len(filters), size, rng)
        mean_square = np.square(patterns).mean((1, 2, 3))
    return patterns, mean_square <= largest_norm**2 / (CHANNELS * REFERENCE**2)
