"""Which images of a mixture are protected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucbench.store.keys import derive_seed


def protected_part(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Indices, ascending, of the protected share of a training set with these labels ``[N]``.

    Random, stratified by class (every class gives ``round(fraction * its size)`` images), nested (a smaller fraction's
    images are among a larger one's), and the same for every poisoner with the same seed.
    """
    rng = np.random.default_rng(derive_seed("mixture", seed))
    chosen = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
