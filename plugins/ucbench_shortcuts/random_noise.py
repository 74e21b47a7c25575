"""Random noise per image, and random patterns per class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation, on_grid

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_shortcuts.params import RandomClassParams, RandomSampleParams


class RandomSamples:
    """Independent noise for every image, unrelated to labels: the effect of a budget alone."""

    def __init__(self, params: RandomSampleParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` within the linf radius; reads no labels and no pixels."""
        rng = np.random.default_rng(run.seed("noise"))
        shape = train.images.shape
        if self.params.kind == "sign":
            delta = rng.integers(0, 2, shape, np.int8).astype(np.float32)
            delta *= 2
        else:
            delta = rng.random(shape, np.float32)
            delta *= 2
        delta -= 1
        delta *= np.float32(run.budget.radius)
        return Perturbation(delta)


class RandomClassPatterns:
    """One random pattern for every class, or for every cluster if the craft labels are clusters."""

    def __init__(self, params: RandomClassParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[K, 3, H, W]`` of full linf radius, indexed by label."""
        rng = np.random.default_rng(run.seed("patterns"))
        count, (height, width) = len(train.classes), train.size
        if self.params.pattern == "blocks":
            signs = rng.choice(np.array([-1, 1], np.float32), (count, 3, self.params.grid, self.params.grid))
            patterns = on_grid(signs, train.size)
        elif self.params.pattern == "sign":
            patterns = rng.choice(np.array([-1, 1], np.float32), (count, 3, height, width))
        else:
            patterns = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
        return Perturbation(np.float32(run.budget.radius) * patterns, train.known_labels)

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: object, run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The label of each image, which indexes its pattern; None without labels."""
        return labels
