"""Random noise of every image's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ucbench import ImageSet, Perturbation

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_shortcuts.params import RandomSampleParams


class RandomSamples:
    """Noise that tells nothing of labels: what a budget alone costs a victim."""

    def __init__(self, params: RandomSampleParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` within the linf radius; reads no labels and no pixels."""
        assert run.budget is not None
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
