"""The features behind a map: a victim's representations of clean and perturbed images in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucbench.data.imageset import Labels
from ucbench.errors import UsageError
from ucbench.matrix.cell import Cell
from ucbench.metrics.layers import layer_features
from ucbench.running.evaluate import evaluate
from ucbench.running.stored_victims import is_kept, keep, restored, victim_key
from ucbench.running.tasks import task_of
from ucbench.session import Session
from ucbench.store.keys import derive_seed

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Map:
    """Points of N images in two dimensions, float64 ``[2 N, 2]`` by method: first clean, then perturbed ones.

    Attributes:
        points: by ``PCA`` and ``t-SNE``.
        labels: the exploiter's, int64 ``[N]``.
        classes: names of the labels.
    """

    points: dict[str, Floats]
    labels: Labels
    classes: tuple[str, ...]


def feature_map(cell: Cell, session: Session, layer: str, count: int) -> Map:
    """Map up to ``count`` training images, with and without perturbation, by the cell's victim.

    Both sides share the axes of one principal component analysis, and one t-SNE (van der Maaten and Hinton, JMLR 9,
    2008). The victim is trained if it was not kept.

    Raises:
        UsageError: if the victim shows no network, or the network lacks the layer.
    """
    task = task_of(cell, session)
    if not is_kept(task, session):
        keep(evaluate(cell, session).trained, task, session)
        if not session.store.contains("victim", victim_key(task)):
            raise UsageError(f"{cell.victim} shows no network whose features could be drawn.")
    with restored(task, session) as (trained, sets):
        assert trained.model is not None
        order = np.random.default_rng(derive_seed("map", cell.train_seed)).permutation(len(sets.train))
        drawn = np.sort(order[:count])
        sides = [
            layer_features(trained.model, side.images[drawn], layer, session.engine.device).double().numpy()
            for side in (sets.source, sets.train)
        ]
        return Map(_embedded(np.concatenate(sides)), sets.train.known_labels[drawn], sets.train.classes)


def _embedded(features: Floats) -> dict[str, Floats]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    # Rounding aside, the reduced features hold what distances are made of, at a fraction of the cost.
    reduced = PCA(min(50, *features.shape), svd_solver="full").fit_transform(features)
    perplexity = min(30.0, (len(features) - 1) / 3)
    nearby = TSNE(
        perplexity=perplexity, init="pca" if reduced.shape[1] > 1 else "random", random_state=0
    ).fit_transform(reduced)
    flat = reduced[:, :2] if reduced.shape[1] > 1 else np.pad(reduced, ((0, 0), (0, 1)))
    return {"PCA": flat, "t-SNE": nearby.astype(np.float64)}
