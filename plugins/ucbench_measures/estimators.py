"""Mutual information of two numbers, from samples: three estimators and the Gaussian closed form, all in nats.

Every function takes float64 ``[S, N]``, S pairs of variables with N samples each, N at least 4, and returns float64
``[S]``. None of the estimates is cut off at 0, which would make those of independent variables too high on average.
MINE is in :mod:`ucbench_measures.mine`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma

from ucbench import contingency

Floats = NDArray[np.float64]
Estimator = Callable[[Floats, Floats, torch.Generator], Floats]

#: Neighbours of :func:`ksg`: as few as its authors advise for a small bias.
NEIGHBOURS = 3
#: Largest squared correlation: that of equal variables would make the information infinite.
_LARGEST = 1 - 1e-12
#: Smallest sum of kernels, which a point far from all others may have: below it a float32 loses digits.
_SMALLEST = torch.finfo(torch.float32).tiny
#: Rows of a kernel matrix that are computed at once.
_ROWS = 1000


def correlation(x: Floats, y: Floats) -> Floats:
    """Pearson's correlation of each pair, ``[S]``; 0 for a constant variable."""
    return np.asarray((standard(x) * standard(y)).mean(1))


def standard(x: Floats) -> Floats:
    """Variables ``[S, N]`` at mean 0 and deviation 1; a constant one is 0."""
    centred = x - x.mean(1, keepdims=True)
    # A variable that varies by rounding alone is constant.
    scale = np.abs(x).max(1, keepdims=True)
    deviation = centred.std(1, keepdims=True)
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9 * scale))


def gaussian(x: Floats, y: Floats, generator: torch.Generator) -> Floats:
    """``-log(1 - r^2) / 2``, the mutual information of Gaussian variables, minus its bias.

    The expected logarithms of Wishart determinants make the bias of the plug-in value exact for Gaussian variables:
    ``(psi(v / 2) - psi((v - 1) / 2)) / 2`` with v = N - 1.
    """
    freedom = x.shape[1] - 1
    bias = (digamma(freedom / 2) - digamma((freedom - 1) / 2)) / 2
    return np.asarray(-np.log1p(-np.minimum(correlation(x, y) ** 2, _LARGEST)) / 2 - bias)


def ksg(x: Floats, y: Floats, generator: torch.Generator) -> Floats:
    """The first k-nearest-neighbour estimator of Kraskov, Stögbauer and Grassberger (Physical Review E 69, 2004), k=3.

    ``psi(k) + psi(N) - <psi(n_x + 1) + psi(n_y + 1)>``: n_x and n_y count the other samples that are nearer, in one
    variable, than the k-th neighbour in both. scikit-learn's ``mutual_info_regression`` gives the same above 0.
    Samples are shifted by up to 1e-10 deviations, which separates equal ones.
    """
    count = x.shape[1]
    neighbours = min(NEIGHBOURS, count - 1)
    shifts = 1e-10 * torch.randn((2, *x.shape), generator=generator, dtype=torch.float64).numpy()
    values = [_inside(a, b, neighbours) for a, b in zip(standard(x) + shifts[0], standard(y) + shifts[1], strict=True)]
    return np.asarray(digamma(neighbours) + digamma(count) - np.array(values))


def _inside(a: Floats, b: Floats, neighbours: int) -> float:
    """Mean of ``psi(n_x + 1) + psi(n_y + 1)`` over the samples ``[N]`` of two variables."""
    points = np.column_stack([a, b])
    radius = cKDTree(points).query(points, neighbours + 1, p=np.inf)[0][:, -1]
    # Below the distance by more than rounding, so that the k-th neighbour is not among those that are nearer.
    radius -= 1e-12 * radius + 1e-15
    total = 0.0
    for one in (a, b):
        ordered = np.sort(one)
        # The sample itself is among those counted: this is n + 1.
        inside = np.searchsorted(ordered, one + radius, "right") - np.searchsorted(ordered, one - radius, "left")
        total += float(digamma(inside).mean())
    return total


def histogram(x: Floats, y: Floats, generator: torch.Generator) -> Floats:
    """The plug-in value of a histogram with the correction of Miller and Madow (Miller, 1955).

    Each variable has ``N^(1/3)`` bins of equally many samples, so that the value does not change if a variable is
    rescaled, even nonlinearly. What happens within a bin is lost: high information is underestimated.
    """
    count = x.shape[1]
    shares = np.linspace(0, 1, max(2, round(count ** (1 / 3))) + 1)[1:-1]
    return np.array([_plug_in(contingency(_bins(a, shares), _bins(b, shares))) for a, b in zip(x, y, strict=True)])


def _bins(values: Floats, shares: Floats) -> NDArray[np.int64]:
    # Equal samples share a bin, also where that makes bins unequal.
    return np.searchsorted(np.quantile(values, shares), values, "right").astype(np.int64)


def _plug_in(table: NDArray[np.int64]) -> float:
    from sklearn.metrics import mutual_info_score  # slow to import

    rows, columns, cells = (np.count_nonzero(counts) for counts in (table.sum(1), table.sum(0), table))
    value = float(mutual_info_score(None, None, contingency=table))
    return value + (rows + columns - cells - 1) / (2 * int(table.sum()))


def kernel(x: Floats, y: Floats, generator: torch.Generator) -> Floats:
    """The mean logarithm of ``p(x, y) / (p(x) p(y))``, densities estimated by Gaussian kernels.

    As Moon, Rajagopalan and Lall (Physical Review E 52, 1995): the joint kernel has the samples' covariance times
    ``h^2`` with h = ``N^(-1/6)``, a margin's kernel their variance times the same, and no sample contributes to the
    density at itself. With these kernels the smoothing of Gaussian variables cancels for large N.
    """
    a, b = (torch.from_numpy(standard(one)).float() for one in (x, y))
    squared = torch.from_numpy(np.minimum(correlation(x, y) ** 2, _LARGEST))
    slopes = torch.from_numpy(correlation(x, y)).float()
    # Whitened: the joint kernel is a product in a and what is left of b.
    rests = (b - slopes[:, None] * a) / (1 - squared).sqrt().float()[:, None]
    count = x.shape[1]
    values = [_log_ratio(*sample, count ** (-1 / 6)) for sample in zip(a, b, rests, strict=True)]
    return np.asarray(np.array(values) + np.log(count - 1) - np.log1p(-squared.numpy()) / 2)


def _log_ratio(a: torch.Tensor, b: torch.Tensor, rest: torch.Tensor, width: float) -> float:
    """Mean over samples ``[N]`` of the logarithm of the joint kernel sum over those of both margins."""

    def kernels(one: torch.Tensor, rows: slice) -> torch.Tensor:
        values = (one[rows, None] - one).square_().mul_(-0.5 / width**2).exp_()
        # Subtracting a sample's own 1 from the sum would round away what is far from all others.
        values.diagonal(rows.start).zero_()
        return values

    total = 0.0
    for first in range(0, len(a), _ROWS):
        rows = slice(first, first + _ROWS)
        first_kernel = kernels(a, rows)
        joint = (first_kernel * kernels(rest, rows)).sum(1)
        margins = (first_kernel.sum(1), kernels(b, rows).sum(1))
        logs = [sums.clamp_min(_SMALLEST).log() for sums in (joint, *margins)]
        total += float((logs[0] - logs[1] - logs[2]).double().sum())
    return total / len(a)
