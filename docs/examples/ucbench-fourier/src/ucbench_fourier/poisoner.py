"""Fourier basis functions as class-wise (or cluster-wise) noise."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from ucbench import Perturbation, UsageError

if TYPE_CHECKING:
    from ucbench import CraftRun, ImageSet

    from ucbench_fourier.params import FourierParams


class Fourier:
    """Adds to every image a wave, or a sum of waves, whose frequencies only its class or cluster has.

    A real basis function of the discrete Fourier transform of ``H x W`` pixels is ``cos(2 pi (u y/H + v x/W) + p)``
    with whole numbers u and v of cycles per image; its spectrum is two points, ``(u, v)`` and ``(-u, -v)``. Frequencies
    are drawn without repetition, so that the spectra of two groups have no point in common.

    With several phases the phase of an image follows from its pixels: images of one class then share a frequency but
    no pixel pattern. An even number of phases consists of pairs half a turn apart, so that the mean of a group's
    perturbations is zero.
    """

    def __init__(self, params: FourierParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[K * phases, 3, H, W]``: phase j of group k is number ``k * phases + j``.

        Every channel of each is scaled so that its largest absolute value is the linf radius. State: ``frequencies``
        int64 ``[K, waves, 2]``, cycles per image, downwards and to the right.

        Raises:
            UsageError: if the band has fewer frequencies than the groups need.
        """
        groups, waves, (height, width) = len(train.classes), self.params.waves, train.size
        rng = np.random.default_rng(run.seed("waves"))
        band = frequencies(train.size, self.params.low, self.params.high)
        if len(band) < groups * waves:
            raise UsageError(
                f"fourier: between {self.params.low:g} and {self.params.high:g} cycles, images of {height}x{width} "
                f"pixels have {len(band)} frequencies, and {groups} groups of {waves} need {groups * waves}. Take a "
                "wider band, fewer waves, or fewer clusters."
            )
        dealt = rng.permutation(band)[: groups * waves].reshape(groups, waves, 2)
        start = rng.uniform(0, 1, (groups, waves))
        signs = rng.choice([-1.0, 1.0], (groups, 3))
        if self.params.channels == "grey":
            signs[:] = 1
        radius, phases = run.budget.radius, self.params.phases
        delta = np.empty((groups, phases, 3, height, width), np.float32)
        for group in range(groups):
            for phase in range(phases):
                wave = _sum_of_waves(dealt[group], start[group] + phase / phases, train.size)
                delta[group, phase] = radius * signs[group][:, None, None] * (wave / np.abs(wave).max())
        index = train.known_labels * phases + self._phases_of(train)
        return Perturbation(delta.reshape(-1, 3, height, width), index, {"frequencies": dealt})

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: Mapping[str, NDArray[Any]], run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The waves of each image's label in the phase of its pixels, int64 ``[B]``; None without labels."""
        return None if labels is None else labels * self.params.phases + self._phases_of(images)

    def _phases_of(self, images: ImageSet) -> NDArray[np.int64]:
        """The number of each image's phase, int64 ``[N]``: a checksum of its pixels, independent of labels."""
        return np.array([zlib.crc32(image.tobytes()) % self.params.phases for image in images.images], np.int64)


def frequencies(size: tuple[int, int], low: float, high: float) -> NDArray[np.int64]:
    """Whole cycles ``(u, v)`` per image of that height and width with ``low <= hypot(u, v) <= high``, int64 ``[F, 2]``.

    Of ``(u, v)`` and ``(-u, -v)``, which are the same wave, one is given. Frequencies of half the pixels of a side
    (Nyquist's) and above are left out: at that frequency a wave vanishes in one phase.
    """
    half_height, half_width = ((side - 1) // 2 for side in size)
    u, v = np.mgrid[0 : half_height + 1, -half_width : half_width + 1]
    length = np.hypot(u, v)
    chosen = (low <= length) & (length <= high) & ((u > 0) | (v > 0))
    return np.stack([u[chosen], v[chosen]], axis=1).astype(np.int64)


def _sum_of_waves(cycles: NDArray[np.int64], turns: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """The sum ``[H, W]`` of waves of ``cycles`` ``[waves, 2]`` with phases ``turns`` ``[waves]``, in whole turns."""
    rows, columns = (np.arange(side) / side for side in size)
    place = cycles[:, 0, None, None] * rows[:, None] + cycles[:, 1, None, None] * columns + turns[:, None, None]
    return np.asarray(np.cos(2 * np.pi * place).sum(0))
