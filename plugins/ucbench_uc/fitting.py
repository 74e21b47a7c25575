"""Fitting the perturbations of some clusters to their images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench_uc.objective import Discrepancy
from ucbench_uc.perturbations import Perturbations
from ucbench_uc.views import Views

if TYPE_CHECKING:
    from ucbench import CraftRun, ImageSet
    from ucbench_uc.params import UCParams
    from ucbench_uc.students import Features

Indices = NDArray[np.intp]


class Fitter:
    """Minimises the discrepancy of clusters' perturbed images to their target centres.

    Args:
        pools: the images, by number in ``train``, that the perturbation of each cluster is fitted on.
        attacked: features of the model that is attacked.
        distance: discrepancy of features to a target centre.
        targets: int64 ``[K]``, the target centre of each cluster.
        views: how images are seen while crafting.
    """

    def __init__(
        self,
        params: UCParams,
        train: ImageSet,
        pools: Sequence[Indices],
        attacked: Features,
        distance: Discrepancy,
        targets: Tensor,
        views: Views,
        run: CraftRun,
    ) -> None:
        self.params, self.pools, self.attacked, self.distance = params, pools, attacked, distance
        self.targets, self.views, self.run = targets, views, run
        self.images = torch.from_numpy(train.images.copy()).to(run.device)
        self.size = train.size

    def fit(self, group: list[int]) -> NDArray[np.float32]:
        """Perturbations float32 ``[len(group), 3, H, W]`` of the clusters in ``group``."""
        params, run = self.params, self.run
        alone = not params.together
        name = f"cluster-{group[0]}" if alone else "clusters-together"
        perturbations = Perturbations(params, len(group), self.size, run, name)
        generator = run.generator(f"{name}-batches")
        pools = [self.pools[k] for k in group]
        steps = self._steps(pools)
        advance = run.progress(f"crafting cluster {group[0] + 1}/{len(self.pools)}" if alone else "crafting", steps)
        first = last = 0.0
        batches = [cycle(pool, params.batch, generator, shuffle=params.shuffle) for pool in pools]
        for step in range(steps):
            loss = self.loss(perturbations(), [next(batch) for batch in batches], group, generator)
            perturbations.step(loss, step / steps)
            if step in (0, steps - 1):  # two synchronisations with the device in all
                last = float(loss.detach())
                first = last if step == 0 else first
            advance(1)
        losses = {"first": first / len(group), "last": last / len(group)}
        run.note(f"loss_{group[0]}" if alone else "loss", losses)
        with torch.no_grad():
            return np.asarray(perturbations().cpu().numpy())

    def loss(self, delta: Tensor, indices: list[Indices], group: list[int], generator: torch.Generator) -> Tensor:
        """Sum over clusters of the mean over images, so that one cluster's gradient does not depend on the others."""
        run = self.run
        counts = torch.tensor([len(chosen) for chosen in indices])
        owner = torch.repeat_interleave(torch.arange(len(group)), counts).to(run.device)
        x = self.images[torch.from_numpy(np.concatenate(indices)).to(run.device)].float().div_(255.0)
        goal = self.targets[torch.tensor(group, device=run.device)][owner]
        losses = self.distance(self.attacked(self.views.perturbed(x, delta[owner], generator)), goal)
        return (losses / counts.to(run.device)[owner]).sum()

    def _steps(self, pools: list[Indices]) -> int:
        if self.params.epochs is None:
            return self.params.steps
        return self.params.epochs * max(math.ceil(len(pool) / self.params.batch) for pool in pools)


def cycle(pool: Indices, batch: int, generator: torch.Generator, *, shuffle: bool) -> Iterator[Indices]:
    """Endless batches of ``pool``, every image once per pass; the last batch of a pass may be smaller."""
    while True:
        order = torch.randperm(len(pool), generator=generator).numpy() if shuffle else np.arange(len(pool))
        for start in range(0, len(pool), batch):
            yield pool[order[start : start + batch]]
