"""Subtraction of what the residuals of many images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ucbench import ImageSet, UsageError
from ucbench_removal.grouping import cluster, principal_scores, silhouettes
from ucbench_removal.residuals import blocks, residuals

if TYPE_CHECKING:
    from ucbench.components import Run
    from ucbench_removal.params import SubtractParams


class UniversalSubtract:
    """Subtract from every released image the mean high-pass residual of its group.

    This suite's own defense, against perturbations that many images share: universal, class-wise or cluster-wise. The
    residual of an image is the image minus its filtered version. What images have of their own cancels out in the
    mean of a group, a shared perturbation does not. The groups are the exploiter's labels (``by="label"``: enough
    against class-wise noise of these labels) or k-means clusters of the residuals, whose number the release alone
    decides; see :mod:`ucbench_removal.grouping`.

    How well it works, by the energy of the perturbation's class means that is left: on 2,000 images of CIFAR-10 with
    ten patterns, found without labels as ten clusters each time, 13 % of random signs a pixel at 8 levels, 60 % of
    smooth patterns and 79 % of blocks of 8 pixels at 16 levels. Frequencies below the filter's stay, and a mean over
    few images holds some of their content: clean images changed by 2.4 levels (root mean square). Test
    images are left as they are.

    The record notes ``clusters`` (the number of groups), ``cluster_sizes``, and ``silhouettes`` by number of clusters
    where they decide.
    """

    def __init__(self, params: SubtractParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: Run) -> ImageSet:
        """The same set after subtraction, rounded and clipped to 8 bits.

        Raises:
            UsageError: if there are fewer images than ``clusters``.
            DataError: if the labels are needed, and there are none.
        """
        shared = residuals(train.images, self.params.filter, self.params.scale)
        groups = train.known_labels if self.params.by == "label" else self._clusters(train, shared, run)
        sizes = np.bincount(groups)
        run.note("clusters", int((sizes > 0).sum()))
        run.note("cluster_sizes", sizes.tolist())
        return train.with_images(subtracted(train.images, groups, group_means(shared, groups)))

    def _clusters(self, train: ImageSet, shared: NDArray[np.float16], run: Run) -> NDArray[np.int64]:
        wanted, seed = self.params.clusters, run.seed("clusters")
        if isinstance(wanted, int) and wanted > len(train):
            raise UsageError(f"universal-subtract: clusters={wanted} of only {len(train)} images.")
        if wanted == 1:
            return np.zeros(len(train), np.int64)
        scores = principal_scores(shared, self.params.clip, seed)
        if wanted == "silhouette":
            found = silhouettes(scores, seed)
            run.note("silhouettes", {str(number): value for number, value in found.items()})
            number = max(found, key=lambda tried: found[tried], default=1)
        elif wanted == "classes":
            number = min(len(train.classes), len(train))
        else:
            number = wanted
        return cluster(scores, number, seed)


def group_means(values: NDArray[np.float16], groups: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean ``[G, ...]`` of the ``values`` ``[N, ...]`` of every group, 0 for a group without any.

    Args:
        groups: int64 ``[N]`` in 0 to G - 1.
    """
    means = np.zeros((int(groups.max()) + 1, *values.shape[1:]), np.float32)
    for group in np.unique(groups):
        means[group] = values[groups == group].mean(0, dtype=np.float64)
    return means


def subtracted(images: NDArray[np.uint8], groups: NDArray[np.int64], means: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images ``[N, 3, H, W]`` less the mean ``[G, 3, H, W]`` of their group, in 8-bit levels, rounded and clipped."""
    left = np.empty_like(images)
    for block in blocks(images):
        left[block] = np.clip(np.rint(images[block] - means[groups[block]]), 0, 255).astype(np.uint8)
    return left
