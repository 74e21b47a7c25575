"""The space in which the images are clustered: features as they are, of length 1, or whitened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SpaceName = Literal["raw", "unit", "whitened"]
State = Mapping[str, NDArray[Any]]

#: Directions of less variance than this share of the largest one hold rounding errors.
NEGLIGIBLE = 1e-8


def whitening(features: Tensor, dimensions: int) -> dict[str, NDArray[np.float32]]:
    """Mean ``[D]`` and axes ``[D, d]`` that whiten features ``[N, D]`` of length 1: uncorrelated, of variance 1.

    The axes are the first principal components, as of scikit-learn's ``PCA(dimensions, whiten=True)``. There are
    ``dimensions`` of them, but at most min(N, D) - 1, and none along which the features vary by rounding errors alone.
    """
    unit = F.normalize(features.double(), dim=1)
    variances, axes = torch.linalg.eigh(torch.cov(unit.T))
    variances, axes = variances.flip(0), axes.flip(1)  # the largest first
    count = min(dimensions, min(unit.shape) - 1, int((variances > NEGLIGIBLE * variances[0]).sum()))
    scaled = axes[:, :count] / variances[:count].sqrt()
    return {"whitening_mean": unit.mean(0).float().numpy(), "whitening_axes": scaled.float().numpy()}


def coordinates(space: SpaceName, features: Tensor, state: State) -> Tensor:
    """Features ``[N, D]`` in ``space``: ``[N, D]``, or ``[N, d]`` where ``state`` holds a :func:`whitening`."""
    if space == "raw":
        return features
    unit = F.normalize(features.double(), dim=1)
    if space == "unit":
        return unit
    mean, axes = (torch.from_numpy(np.array(state[f"whitening_{name}"])).double() for name in ("mean", "axes"))
    return (unit - mean) @ axes
