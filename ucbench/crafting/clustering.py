"""k-means on surrogate features, shared by cluster-wise poisoners and by craft labels made from clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.numerics import as_double

if TYPE_CHECKING:
    from ucbench.training.context import Run
    from ucbench.training.surrogate import Surrogate

#: scikit-learn's default fell from 10 to 1 in release 1.4; the literature's runs used 10.
N_INIT = 10


@dataclass(frozen=True)
class Clusters:
    """``centres`` float32 ``[K, D]`` in raw feature units, and ``assignment`` int64 ``[N]``."""

    centres: NDArray[np.float32]
    assignment: NDArray[np.int64]


def extract_features(surrogate: Surrogate, images: ImageSet, device: torch.device, batch: int = 250) -> torch.Tensor:
    """Features float32 ``[N, D]`` of all images of the set, on the CPU."""
    return torch.cat([features.float().cpu() for features in _batched(surrogate.features, images, device, batch)])


def predict_classes(surrogate: Surrogate, images: ImageSet, device: torch.device) -> NDArray[np.int64]:
    """The class with the highest score of the surrogate, int64 ``[N]``."""
    return torch.cat([scores.argmax(1).cpu() for scores in _batched(surrogate.logits, images, device)]).numpy()


def _batched(
    model: Callable[[torch.Tensor], torch.Tensor], images: ImageSet, device: torch.device, batch: int = 250
) -> Iterator[torch.Tensor]:
    for start in range(0, len(images), batch):
        block = torch.from_numpy(images.images[start : start + batch].copy()).to(device)
        with torch.no_grad():
            yield model(block.float().div_(255.0))


def cluster(features: torch.Tensor, k: int, seed: int) -> Clusters:
    """k-means (k-means++ starts, best of ``N_INIT``) of features ``[N, D]``.

    Raises:
        UsageError: if there are fewer images, or fewer distinct ones, than clusters.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(features) < k:
        raise UsageError(f"{k} clusters need at least {k} images, but there are {len(features)}.")
    # scikit-learn sums in an order that depends on its own thread count, which torch's setting does not reach.
    with threadpool_limits(limits=torch.get_num_threads()):
        fitted = KMeans(n_clusters=k, n_init=N_INIT, random_state=seed % 2**32).fit(features.double().numpy())
    distinct = len(np.unique(fitted.labels_))
    if distinct < k:
        raise UsageError(f"{k} clusters were requested, but the surrogate tells only {distinct} images apart.")
    return Clusters(fitted.cluster_centers_.astype(np.float32), fitted.labels_.astype(np.int64))


def clusters_of(train: ImageSet, k: int, run: Run, surrogate: Surrogate) -> Clusters:
    """Cluster ``train`` by the features of ``surrogate``.

    The seed comes from the stream ``clusters`` of ``run``. UC (by default) and a label-based poisoner with craft labels
    ``clusters`` of the same surrogate, number and craft seed therefore work on the same clusters.
    """
    return cluster(extract_features(surrogate, train, run.device), k, run.seed("clusters"))


def nearest_centre(features: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Index ``[N]`` of the nearest of ``centres`` ``[K, D]``, in Euclidean distance, for every feature ``[N, D]``."""
    return torch.cdist(as_double(features), as_double(centres)).argmin(1).to(features.device)
