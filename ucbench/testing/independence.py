"""Whether the outputs of one batch are more alike than those of several: a sign of draws that a batch shares."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

#: Assignments of outputs to batches at random, which say how alike batches are by chance.
_SHUFFLES = 300


def likeness(batches: Tensor, original: Tensor) -> float:
    """How much more alike the outputs of a batch are than by chance, in standard deviations.

    The ranks of distances within batches are compared with those after outputs have been assigned to batches at random,
    as in ANOSIM (Clarke, Australian Journal of Ecology 18, 1993). There are two distances: between the images, which
    tells operations apart, and between the amounts of change, which tells strengths apart; the larger value counts.

    Args:
        batches: float32 ``[S, N, 3, H, W]``: what S batches of N copies of one image became, each under its own seed.
        original: the image, ``[3, H, W]``.

    Returns:
        Rarely above 3 if every output is drawn by itself, and below 0 if the outputs of a batch avoid each other. One
        choice that a batch shares gives 5 to 40, unless other draws have a much larger effect.
    """
    outputs = batches.flatten(0, 1).flatten(1).double()
    amounts = (outputs - original.flatten().double()).abs().mean(1, keepdim=True)
    return max(_likeness(values, len(batches)) for values in (outputs, amounts))


def _likeness(values: Tensor, batches: int) -> float:
    distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    pairs = np.triu_indices(len(distances), 1)
    ranks = np.zeros_like(distances)
    ranks[pairs] = rankdata(distances[pairs].round(9))  # equal images may differ by rounding
    ranks += ranks.T
    generator = np.random.RandomState(0)
    order = np.arange(len(ranks))
    by_chance = [_within(ranks, generator.permutation(order), batches) for _ in range(_SHUFFLES)]
    return float((np.mean(by_chance) - _within(ranks, order, batches)) / (np.std(by_chance) or 1.0))


def _within(ranks: NDArray[np.float64], order: NDArray[np.int64], batches: int) -> float:
    """Sum of ranks within batches, which are successive parts of ``order``."""
    return float(sum(ranks[np.ix_(part, part)].sum() for part in np.split(order, batches)))
