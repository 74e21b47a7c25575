"""LSP, also called SynPer (Yu et al., KDD 2022, arXiv 2111.00898)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import make_classification

from ucbench import ImageSet, Perturbation, UsageError, on_grid

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_shortcuts.params import LSPParams


class LinearlySeparable:
    """Every image gets its own draw from a group of points around a vertex that belongs to its class.

    The points live in ``3 * grid**2`` dimensions, all informative; each coordinate fills one patch of one channel. A
    draw is scaled so that its root mean square is epsilon and then projected to the linf ball, which clips the largest
    coordinates: an l2 length of at most ``epsilon/255 * sqrt(D)`` (released: ``6/255 * sqrt(D)``).
    """

    def __init__(self, params: LSPParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]`` within the linf radius; notes their ``root_mean_square`` in 8-bit levels.

        Raises:
            UsageError: if there are more classes than vertices.
        """
        labels, count = train.known_labels, len(train.classes)
        sizes = np.bincount(labels, minlength=count)
        dimensions = 3 * self.params.grid**2
        if count > 2**dimensions:
            raise UsageError(f"lsp: grid={self.params.grid} has a vertex for {2**dimensions} classes, not for {count}.")
        # make_classification divides its samples evenly, so that this many hold enough of every class.
        points, groups = make_classification(
            n_samples=count * int(sizes.max()),
            n_features=dimensions,
            n_informative=dimensions,
            n_redundant=0,
            n_repeated=0,
            n_classes=count,
            n_clusters_per_class=1,
            class_sep=self.params.separation,
            flip_y=0,
            random_state=run.seed("points", bits=32),
        )
        values = np.empty((len(train), dimensions), np.float32)
        for label in range(count):
            members = np.flatnonzero(labels == label)
            values[members] = points[groups == label][: len(members)]
        values /= np.sqrt(np.square(values).mean(1, keepdims=True))
        patches = values.reshape(len(train), 3, self.params.grid, self.params.grid)
        radius = np.float32(run.budget.radius)
        delta = on_grid(np.clip(radius * patches, -radius, radius), train.size)
        # The released noise has 6 levels at any size.
        run.note(
            "root_mean_square",
            255 * float(np.sqrt(np.einsum("nchw,nchw->", delta, delta, dtype=np.float64) / delta.size)),
        )
        return Perturbation(delta)
