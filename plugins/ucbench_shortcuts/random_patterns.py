"""Class-wise random noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation
from ucbench.crafting import on_grid

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_shortcuts.params import RandomClassParams


class RandomClassPatterns:
    """A random pattern for every class, or for every cluster where told clusters."""

    def __init__(self, params: RandomClassParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: Run) -> Perturbation:
        """Perturbations ``[K, 3, H, W]`` of full linf radius, indexed by label."""
        assert run.budget is not None
        rng = np.random.default_rng(run.seed("patterns"))
        count, (height, width) = len(train.classes), train.size
        if self.params.pattern == "blocks":
            signs = rng.choice(np.float32([-1, 1]), (count, 3, self.params.grid, self.params.grid))
            patterns = on_grid(signs, train.size)
        elif self.params.pattern == "sign":
            patterns = rng.choice(np.float32([-1, 1]), (count, 3, height, width))
        else:
            patterns = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
        return Perturbation(np.float32(run.budget.radius) * patterns, train.known_labels)

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: object, run: Run
    ) -> NDArray[np.int64] | None:
        """The pattern of each image's own label, where there is one to tell."""
        return labels
