"""What poisoners share: clustering, differentiable resizing."""

from ucbench.crafting.clustering import Clusters, cluster, clusters_of, extract_features, nearest_centre
from ucbench.crafting.resize import resize

__all__ = ["Clusters", "cluster", "clusters_of", "extract_features", "nearest_centre", "resize"]
