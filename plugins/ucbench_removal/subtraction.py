"""Universal subtraction: high-pass residuals of images, groups of images that share one, and its removal.

Images are grouped by their residuals alone: these are clipped, reduced to their principal components and clustered by
k-means. What a tenth of the images share is among the first components even where it is far below their own texture,
which spreads over all components; in the space of all pixels, or of random projections, k-means finds textures instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ucbench import ImageSet, UsageError

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_removal.params import Filter, SubtractParams

Floats = NDArray[np.float32]

#: Values worked on at once, which bounds the memory and changes no number.
_VALUES = 1 << 22
#: Principal components that are kept.
COMPONENTS = 64
#: Values the components are found from, which bounds the memory: all images of most sets, a random part of larger ones.
_FITTED_VALUES = 1 << 27
#: Numbers of clusters that compete.
CANDIDATES = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
#: Least mean number of images per cluster, for its mean to hold little of their content.
MEMBERS = 25
#: Images the silhouette is measured on.
_SAMPLE = 2000
#: Starts of k-means, of which the best is kept.
_STARTS = 5


class UniversalSubtract:
    """Subtract from every released image the mean high-pass residual of its group.

    A defense of this suite, against perturbations that many images share: universal, class-wise or cluster-wise. The
    residual of an image is the image minus its filtered version. In the mean of a group, image content cancels out and
    a shared perturbation does not. The groups are the exploiter's labels (``by="label"``: enough against class-wise
    noise of these labels) or k-means clusters of the residuals, whose number is found from the release alone.

    Remaining energy of the perturbation's class means: on 2,000 images of CIFAR-10 with ten patterns, found without
    labels as ten clusters each time, 13 % of random signs per pixel at 8 levels, 60 % of smooth patterns and 79 % of
    blocks of 8 pixels at 16 levels. Frequencies below the filter's stay, and a mean over few images holds some of their
    content: clean images changed by 2.4 levels (root mean square). Test images are not changed.

    The record notes ``clusters`` (the number of groups), ``cluster_sizes``, and ``silhouettes`` by number of clusters
    where they decide.
    """

    def __init__(self, params: SubtractParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
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

    def _clusters(self, train: ImageSet, shared: NDArray[np.float16], run: DefenseRun) -> NDArray[np.int64]:
        wanted, seed = self.params.clusters, run.seed("clusters")
        if isinstance(wanted, int) and wanted > len(train):
            raise UsageError(f"universal-subtract: clusters={wanted} of only {len(train)} images.")
        if wanted == 1:
            return np.zeros(len(train), np.int64)
        scores = principal_scores(shared, self.params.clip, seed)
        if wanted == "silhouette":
            values = silhouettes(scores, seed)
            run.note("silhouettes", {str(number): value for number, value in values.items()})
            number = max(values, key=lambda candidate: values[candidate], default=1)
        elif wanted == "classes":
            number = min(len(train.classes), len(train))
        else:
            number = wanted
        return cluster(scores, number, seed)


def blocks(images: NDArray[np.generic]) -> Iterator[slice]:
    """Slices of bounded memory that cover the first axis of ``images`` ``[N, ...]``."""
    step = max(1, _VALUES // max(1, images[:1].size))
    for begin in range(0, len(images), step):
        yield slice(begin, begin + step)


def residuals(images: NDArray[np.uint8], filter: Filter, scale: float) -> NDArray[np.float16]:
    """Images minus their filtered versions, in 8-bit levels.

    Frequencies that the filter lets pass are not in the residual: the inside of a block larger than the window is 0.

    Args:
        images: ``[N, 3, H, W]``; each channel is filtered by itself, with reflection at the borders.
        filter: ``median`` of a square window of ``2 * scale + 1`` pixels, or ``gaussian``.
        scale: half-width of the window, whole; or the Gaussian's standard deviation. Pixels.

    Returns:
        ``[N, 3, H, W]``: exact for the median, and to a half-precision number for the Gaussian.
    """
    residual = np.empty(images.shape, np.float16)
    for block in blocks(images):
        residual[block] = images[block] - _filtered(images[block], filter, scale)
    return residual


def _filtered(images: NDArray[np.uint8], filter: Filter, scale: float) -> NDArray[np.float32]:
    if filter == "gaussian":
        smooth: NDArray[np.float32] = ndimage.gaussian_filter(
            images.astype(np.float32), (0, 0, scale, scale), mode="mirror"
        )
        return smooth
    side = 2 * int(scale) + 1
    medians: NDArray[np.uint8] = ndimage.median_filter(images, (1, 1, side, side), mode="mirror")
    return medians.astype(np.float32)


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
    rest = np.empty_like(images)
    for block in blocks(images):
        rest[block] = np.clip(np.rint(images[block] - means[groups[block]]), 0, 255).astype(np.uint8)
    return rest


def principal_scores(values: NDArray[np.float16], clip: float | None, seed: int) -> Floats:
    """Scores ``[N, at most COMPONENTS]`` of residuals ``[N, 3, H, W]`` on their principal components.

    Args:
        clip: residuals are cut to +-clip 8-bit levels first, or not.
        seed: of the randomised decomposition, and of the images it sees where there are many.
    """
    from sklearn.utils.extmath import randomized_svd

    bound = np.inf if clip is None else clip

    def rows(part: NDArray[np.float16]) -> Floats:
        return np.clip(part.reshape(len(part), -1).astype(np.float32), -bound, bound)

    pixels = values[0].size
    drawn = np.sort(np.random.default_rng(seed).permutation(len(values))[: max(COMPONENTS, _FITTED_VALUES // pixels)])
    seen = rows(values[drawn])
    mean = seen.mean(0)
    seen -= mean
    with _threads():
        _, _, axes = randomized_svd(seen, min(COMPONENTS, *seen.shape), random_state=seed % 2**32)
        return np.concatenate([(rows(values[block]) - mean) @ axes.T for block in blocks(values)])


def cluster(scores: Floats, number: int, seed: int) -> NDArray[np.int64]:
    """Cluster ``[N]``, 0 to ``number - 1``, of scores ``[N, D]`` by k-means; some are empty if few scores differ."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with _threads(), warnings.catch_warnings():
        # Fewer different images than clusters, such as many black ones: the others stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(number, n_init=_STARTS, random_state=seed % 2**32).fit(scores)
    groups: NDArray[np.int64] = fitted.labels_.astype(np.int64)
    return groups


def silhouettes(scores: Floats, seed: int) -> dict[int, float]:
    """Mean silhouette (-1 to 1, on at most 2,000 images) of every number of clusters that ``scores`` ``[N, D]`` allow.

    Numbers from :data:`CANDIDATES` with at least :data:`MEMBERS` images per cluster; none for a small set. Where images
    share nothing, the largest silhouette is near 0, mostly that of 2 clusters.
    """
    from sklearn.metrics import silhouette_score

    sample = np.random.default_rng(seed).permutation(len(scores))[:_SAMPLE]
    values = {}
    for number in CANDIDATES:
        if number * MEMBERS > len(scores):
            break
        groups = cluster(scores, number, seed)[sample]
        with _threads():
            different = len(np.unique(groups))
            values[number] = float(silhouette_score(scores[sample], groups)) if different > 1 else -1.0
    return values


def _threads() -> AbstractContextManager[object]:
    """A scope in which numpy and scikit-learn use torch's number of threads, on which the order of sums depends."""
    from threadpoolctl import threadpool_limits

    scope: AbstractContextManager[object] = threadpool_limits(limits=torch.get_num_threads())
    return scope
