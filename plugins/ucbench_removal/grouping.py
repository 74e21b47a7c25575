"""Which images share a residual, from the residuals alone.

Residuals are clipped, reduced to their principal components and clustered by k-means. What is shared by a tenth of the
images is among the first components even where it is far below the pictures' own texture, which spreads over all of
them; in the space of all pixels, or of random projections, k-means finds textures instead.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from ucbench_removal.residuals import blocks

Floats = NDArray[np.float32]

#: Principal components that are kept.
COMPONENTS = 64
#: Numbers of clusters that compete.
CANDIDATES = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
#: Images a cluster has at least, on average, for its mean to hold little of their content.
MEMBERS = 25
#: Images the silhouette is measured on.
_SAMPLE = 2000
#: Starts of k-means, of which the best is kept.
_STARTS = 5
#: Values the components are found from, which bounds the memory: all images of most sets, a random part of larger ones.
_VALUES = 1 << 27


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
    chosen = np.sort(np.random.default_rng(seed).permutation(len(values))[: max(COMPONENTS, _VALUES // pixels)])
    seen = rows(values[chosen])
    mean = seen.mean(0)
    seen -= mean
    with _threads():
        _, _, axes = randomized_svd(seen, min(COMPONENTS, *seen.shape), random_state=seed % 2**32)
        return np.concatenate([(rows(values[block]) - mean) @ axes.T for block in blocks(values)])


def cluster(scores: Floats, number: int, seed: int) -> NDArray[np.int64]:
    """k-means: the cluster ``[N]``, 0 to ``number - 1``, of scores ``[N, D]``; some are empty if too few differ."""
    import warnings

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

    Numbers from :data:`CANDIDATES` that leave :data:`MEMBERS` images a cluster; none for a small set. Where images
    share nothing, the largest is near 0, mostly that of 2 clusters.
    """
    from sklearn.metrics import silhouette_score

    sample = np.random.default_rng(seed).permutation(len(scores))[:_SAMPLE]
    found = {}
    for number in CANDIDATES:
        if number * MEMBERS > len(scores):
            break
        groups = cluster(scores, number, seed)[sample]
        with _threads():
            different = len(np.unique(groups))
            found[number] = float(silhouette_score(scores[sample], groups)) if different > 1 else -1.0
    return found


def _threads() -> AbstractContextManager[object]:
    """A scope in which numpy and scikit-learn use torch's number of threads, on which the order of sums depends."""
    import torch
    from threadpoolctl import threadpool_limits

    scope: AbstractContextManager[object] = threadpool_limits(limits=torch.get_num_threads())
    return scope
