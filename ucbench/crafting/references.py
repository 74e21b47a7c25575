"""The reference poisoners that every table is read against; :mod:`ucbench.plugins.builtin` registers them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.crafting.patterns import on_grid
from ucbench.crafting.poisoner import CraftRun, Perturbation
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.plugins.builtin_params import PositiveParams, ShuffledParams
from ucbench.plugins.params import Params


class Clean:
    """No perturbation."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        return Perturbation(np.zeros((1, 3, *train.size), np.float32), np.zeros(len(train), np.int64))


class Sham:
    """Noise without information.

    Uniform integers in [-epsilon, epsilon] (linf), a random direction of length epsilon (l2), or random values at
    epsilon random pixels (l0).
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]``.

        Raises:
            UsageError: for an unbounded budget.
        """
        return Perturbation(sham_noise(train.images.shape, run.budget, np.random.default_rng(run.seed("sham"))))


def sham_noise(shape: tuple[int, ...], budget: Budget, rng: np.random.Generator) -> NDArray[np.float32]:
    """The noise of :class:`Sham`, float32 ``[N, 3, H, W]`` on the [0, 1] scale.

    Raises:
        UsageError: for an unbounded budget.
    """
    if budget.epsilon is None:
        raise UsageError("An unbounded budget has no sham.")
    if budget.norm == "linf":
        limit = int(budget.epsilon)
        return rng.integers(-limit, limit, shape, np.int16, endpoint=True).astype(np.float32) / np.float32(255.0)
    delta = rng.standard_normal(shape, np.float32)
    if budget.norm == "l2":
        delta *= budget.epsilon / np.sqrt(np.square(delta).sum((1, 2, 3), keepdims=True))
    else:
        scores = rng.random((shape[0], shape[2] * shape[3]), np.float32)
        pixels = np.argsort(scores, 1)[:, : int(budget.epsilon)]
        mask = np.zeros_like(scores, bool)
        np.put_along_axis(mask, pixels, True, 1)
        delta *= mask.reshape(shape[0], 1, shape[2], shape[3])
    return delta


class Positive:
    """One random pattern per class: ``grid`` x ``grid`` blocks of +-epsilon in each channel."""

    def __init__(self, params: PositiveParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[K, 3, H, W]``, indexed by label."""
        rng = np.random.default_rng(run.seed("blocks"))
        signs = rng.choice(np.array([-1, 1], np.float32), (len(train.classes), 3, self.params.grid, self.params.grid))
        patterns = on_grid(signs, train.size)
        radius = run.budget.radius
        if run.budget.norm == "l2":
            radius /= float(np.sqrt(patterns[0].size))
        return Perturbation(np.float32(radius) * patterns, train.known_labels)

    def assign(self, images: ImageSet, labels: NDArray[np.int64], state: object, run: CraftRun) -> NDArray[np.int64]:
        """The pattern of each image's class."""
        return labels


class Shuffled:
    """Another poisoner's perturbations, each assigned to an image drawn at random without replacement.

    Norm, spectrum and the number of images per perturbation stay; the tie between a perturbation and its image is
    lost. The core makes it from the other poisoner's release, which is crafted once for both.
    """

    def __init__(self, params: ShuffledParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Raises UsageError: there is nothing to craft."""
        raise UsageError(f"shuffled:{self.params.poisoner} is made from a stored release. Use it in a run.")
