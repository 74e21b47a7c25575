"""Unlearnable Clusters (Zhang et al., CVPR 2023, arXiv 2301.01217)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation, cluster, extract_features, nearest_centre
from ucbench_uc.diagnosis import diagnose, held_out
from ucbench_uc.fitting import Fitter
from ucbench_uc.objective import cluster_means, derangement, discrepancy, view_features
from ucbench_uc.saved import Saved
from ucbench_uc.space import coordinates, whitening
from ucbench_uc.students import Features, train_students

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_uc.params import UCParams


class UnlearnableClusters:
    """Cluster the images in a frozen surrogate's features; give every cluster one perturbation towards a wrong centre.

    For cluster i, the centre mu_pi(i) of its target and fixed noise sigma_i, the generator G_i minimises the mean over
    images x of ``d(f(clip(x + delta_i)), mu_pi(i))`` with ``delta_i = squash(G_i(sigma_i))``, f the surrogate's
    features. By default f are the features of students instead, small networks trained on the spot to tell the clusters
    apart, and delta_i is optimised directly, without a generator.

    K-means takes the best of 10 starts (scikit-learn's default when UC was released). A target centre is the mean of
    its cluster's features, which the centre that k-means returns equals up to its tolerance. With
    ``size=224,resize=256`` of a data set the release is the released code's, and crops show parts of the middle, not of
    the file.
    """

    def __init__(self, params: UCParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[K, 3, H, W]``, one per cluster, within ``run.budget``; reads no labels."""
        params = self.params
        features = extract_features(run.surrogate, train, run.device)
        state = whitening(features, params.dimensions) if params.space == "whitened" else {}
        number = params.cluster_count(train.size)
        clusters = cluster(coordinates(params.space, features, state), number, run.seed("clusters"))
        index = clusters.assignment
        saved = Saved(run, index)
        attacked: Features = run.surrogate.features
        if count := params.student_count(train.size):
            attacked = train_students(params.student_victim, count, train, index, run, saved)
        views = params.views(train.size, train.flip)
        seen = views if params.centres == "augmented" else replace(views, augment="none")
        if count or seen.augment != "none":
            features = view_features(attacked, train, seen, run)
        goals = cluster_means(features, index)
        targets = derangement(params.derangement, goals)
        unfitted = held_out(index, params.holdout, run.generator("held-out"))
        everything = params.fit_on == "all"
        pools = [np.flatnonzero(((index == k) | everything) & ~unfitted) for k in range(number)]
        distance = discrepancy(params.distance, goals.to(run.device), params.temperature)
        fitter = Fitter(params, train, pools, attacked, distance, targets.to(run.device), views, run, saved)
        every = list(range(number))
        delta = np.concatenate([fitter.fit(group) for group in ([every] if params.together else [[k] for k in every])])
        state = {**state, "centres": clusters.centres, "goals": goals.numpy(), "targets": targets.numpy()}
        made = Perturbation(delta, index, state)
        diagnose(train, made, attacked, unfitted, views, run)
        return made

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: dict[str, NDArray[np.float32]], run: CraftRun
    ) -> NDArray[np.int64]:
        """Nearest stored centre ``[N]`` of unseen images, in the space of the clusters: their perturbation's index."""
        features = coordinates(self.params.space, extract_features(run.surrogate, images, run.device), state)
        return nearest_centre(features, torch.from_numpy(np.array(state["centres"]))).numpy()
