"""What poisoners share: signed steps, the bi-level loop, clustering, separation, differentiable resizing, patterns."""

from ucbench.crafting.bilevel import BiLevel
from ucbench.crafting.clustering import (
    Clusters,
    cluster,
    clusters_of,
    extract_features,
    nearest_centre,
    predict_classes,
)
from ucbench.crafting.patterns import on_grid
from ucbench.crafting.pgd import pgd, within
from ucbench.crafting.resize import resize
from ucbench.metrics.separation import cosine_gap

__all__ = [
    "BiLevel",
    "Clusters",
    "cluster",
    "clusters_of",
    "cosine_gap",
    "descend",
    "extract_features",
    "nearest_centre",
    "on_grid",
    "predict_classes",
    "resize",
    "within",
]
