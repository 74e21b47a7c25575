"""Fitting the perturbations of some clusters to their images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

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
    from ucbench_uc.saved import Arrays, Saved
    from ucbench_uc.students import Features

Indices = NDArray[np.intp]

#: Steps between two saved states: on a GPU, reading one waits for it.
SAVE_EVERY = 20


class Fitter:
    """Minimises the discrepancy of clusters' perturbed images to their target centres.

    Args:
        pools: the images, by number in ``train``, that the perturbation of each cluster is fitted on.
        attacked: features of the model that is attacked.
        distance: discrepancy of features to a target centre.
        targets: int64 ``[K]``, the target centre of each cluster.
        views: how images are seen while crafting.
        saved: where perturbations are saved while they are fitted, and after it.
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
        saved: Saved,
    ) -> None:
        self.params, self.pools, self.attacked, self.distance = params, pools, attacked, distance
        self.targets, self.views, self.run, self.saved = targets, views, run, saved
        self.images = torch.from_numpy(train.images.copy()).to(run.device)
        self.size = train.size

    def fit(self, group: list[int]) -> NDArray[np.float32]:
        """Perturbations float32 ``[len(group), 3, H, W]`` of the clusters in ``group``."""
        params, run = self.params, self.run
        alone = not params.together
        name = f"cluster-{group[0]}" if alone else "clusters-together"
        saved = self.saved[name]
        if "delta" not in saved:
            saved = self.saved[name] = self._fitted(group, name, saved)
        first, last = (float(loss) / len(group) for loss in saved["losses"])
        run.note(f"loss_{group[0]}" if alone else "loss", {"first": first, "last": last})
        return saved["delta"]

    def _fitted(self, group: list[int], name: str, saved: Arrays) -> dict[str, NDArray[Any]]:
        """The perturbations ``delta``, and first and last loss (``losses``); continues from what is ``saved``."""
        params, run = self.params, self.run
        perturbations = Perturbations(params, len(group), self.size, run, name)
        generator = run.generator(f"{name}-batches")
        pools = [self.pools[k] for k in group]
        steps = self._steps(pools)
        text = f"crafting cluster {group[0] + 1}/{len(self.pools)}" if not params.together else "crafting"
        advance = run.progress(text, steps)
        batches = [Cycle(pool, params.batch, generator, shuffle=params.shuffle) for pool in pools]
        done, first, loss = 0, torch.zeros(()), torch.zeros(())
        if saved:
            done, first = int(saved["done"]), torch.tensor(saved["first"])
            perturbations.restore(saved)
            generator.set_state(torch.tensor(saved["generator"]))
            for k, batch in enumerate(batches):
                batch.rest = saved[f"rest-{k}"]
            advance(done)
        for step in range(done, steps):
            loss = self.loss(perturbations(), [next(batch) for batch in batches], group, generator)
            perturbations.step(loss, step / steps)
            if step == 0:
                first = loss.detach().cpu()
            advance(1)
            if (step + 1) % SAVE_EVERY == 0 and step + 1 < steps:
                self.saved[name] = {
                    "done": np.array(step + 1),
                    "first": first.numpy(),
                    "generator": generator.get_state().numpy(),
                    **{f"rest-{k}": batch.rest for k, batch in enumerate(batches)},
                    **perturbations.state(),
                }
        with torch.no_grad():
            delta = perturbations().cpu().numpy()
        return {"delta": delta, "losses": np.array([first.item(), loss.item()])}

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


class Cycle:
    """Endless batches of ``pool``, every image once per pass; the last batch of a pass may be smaller.

    Attributes:
        rest: the images that remain of the present pass, in their order.
    """

    def __init__(self, pool: Indices, batch: int, generator: torch.Generator, *, shuffle: bool) -> None:
        self._pool, self._batch, self._generator, self._shuffle = pool, batch, generator, shuffle
        self.rest: Indices = pool[:0]

    def __iter__(self) -> Iterator[Indices]:
        return self

    def __next__(self) -> Indices:
        if not len(self.rest):
            self.rest = self._pool
            if self._shuffle:
                self.rest = self._pool[torch.randperm(len(self._pool), generator=self._generator).numpy()]
        chosen, self.rest = self.rest[: self._batch], self.rest[self._batch :]
        return chosen
