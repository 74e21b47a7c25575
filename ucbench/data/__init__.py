"""Image sets: reading, subsets and splits, and the perturbation budget of their images."""
