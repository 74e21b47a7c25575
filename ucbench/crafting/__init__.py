"""What poisoners share: clustering, differentiable resizing, block patterns."""

from ucbench.crafting.clustering import Clusters, cluster, clusters_of, extract_features, nearest_centre
from ucbench.crafting.patterns import on_grid
from ucbench.crafting.resize import resize

__all__ = ["Clusters", "cluster", "clusters_of", "extract_features", "nearest_centre", "on_grid", "resize"]
