"""What UC minimises: the discrepancy between perturbed features and a wrong cluster's centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

if TYPE_CHECKING:
    from ucbench import CraftRun, ImageSet
    from ucbench_uc.students import Features
    from ucbench_uc.views import Views

Discrepancy = Callable[[Tensor, Tensor], Tensor]

#: Random views of each image in the mean that is a target centre.
DRAWS = 2


def discrepancy(name: str, centres: Tensor, temperature: float) -> Discrepancy:
    """Return ``d(features [B, D], targets [B]) -> losses [B]`` for centres ``[K, D]`` in raw feature units.

    * ``kl``: KL(softmax(centre / T) || softmax(features / T)) over feature dimensions, as the released code with T = 1.
    * ``centres``: cross-entropy of the target among all centres, scores being cosines of centred features divided by T.
      Unlike the KL, whose softmax over a thousand raw features is close to uniform, it keeps a gradient until the
      target centre is the nearest one, and it also pushes away from the centre an image belongs to.
    * ``mse``: squared Euclidean distance over the mean squared distance between centres; ``cosine``: one minus the
      cosine of centred features.

    Features are centred by the mean of the centres.
    """
    if name == "kl":
        goal = F.softmax(centres / temperature, 1)
        return lambda f, t: F.kl_div(F.log_softmax(f / temperature, 1), goal[t], reduction="none").sum(1)
    middle = centres.mean(0)
    if name == "mse":
        scale = torch.cdist(centres, centres).square().sum() / (len(centres) * (len(centres) - 1))
        return lambda f, t: (f - centres[t]).square().sum(1) / scale
    directions = F.normalize(centres - middle, dim=1)
    if name == "cosine":
        return lambda f, t: 1 - (F.normalize(f - middle, dim=1) * directions[t]).sum(1)
    if name == "centres":
        return lambda f, t: F.cross_entropy(
            F.normalize(f - middle, dim=1) @ directions.T / temperature, t, reduction="none"
        )
    raise ValueError(f"unknown distance {name!r}")


def cluster_means(features: Tensor, assignment: NDArray[np.int64]) -> Tensor:
    """Mean ``[K, D]`` of each cluster's features ``[N, D]``, in their precision; no cluster is empty."""
    members = F.one_hot(torch.from_numpy(assignment)).double()
    return (members.T @ features.double() / members.sum(0)[:, None]).to(features)


@torch.no_grad()
def view_features(attacked: Features, train: ImageSet, views: Views, run: CraftRun) -> Tensor:
    """Features float32 ``[N, D]`` on the CPU, the mean of each image's over :data:`DRAWS` random views, if random."""
    generator, parts = run.generator("centres"), []
    for start in range(0, len(train), 250):
        x = torch.from_numpy(train.images[start : start + 250].copy()).to(run.device).float().div_(255.0)
        draws = 1 if views.augment == "none" else DRAWS
        drawn = [attacked(views.drawn(x, generator)).float() for _ in range(draws)]
        parts.append(torch.stack(drawn).mean(0).cpu())
    return torch.cat(parts)


def derangement(name: str, centres: Tensor) -> Tensor:
    """Target cluster ``[K]`` of every cluster, a permutation without fixed point (pi of the paper).

    ``shift`` sends i to i+1 modulo K (released code). ``farthest`` maximises the summed distance between the centres of
    each cluster and its target.
    """
    count = len(centres)
    if name == "shift":
        return (torch.arange(count) + 1) % count
    distances = torch.cdist(centres.double(), centres.double())
    distances.fill_diagonal_(-float(distances.sum()) - 1.0)
    _, targets = linear_sum_assignment(distances.cpu().numpy(), maximize=True)
    return torch.from_numpy(targets)
