"""Unlearnable Clusters (Zhang et al., CVPR 2023, arXiv 2301.01217)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import Clusters, ImageSet, Perturbation, clusters_of, cosine, extract_features, nearest_centre, shifted
from ucbench_uc.generator import GeneratorBank
from ucbench_uc.objective import derangement, discrepancy

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_uc.params import UCParams

#: Images on which the diagnostics of a finished craft are measured.
DIAGNOSED = 1000


class UnlearnableClusters:
    """Cluster the images in a frozen surrogate's features; give every cluster one perturbation towards a wrong centre.

    For cluster i with centre mu_i, target pi(i) and fixed noise sigma_i, the generator G_i minimises the mean over
    images x of ``d(f(clip(x + delta_i)), mu_pi(i))`` with ``delta_i = squash(G_i(sigma_i))``, f the surrogate's
    features.

    Deviations from the released code, all named parameters: see ``ucbench show poisoner uc``. Two apply to every
    preset: k-means takes the best of 10 starts (scikit-learn's default at the time; now 1), and random crops while
    crafting (``augment=images``) pad the stored images by a seventh of their side instead of cutting 224 pixels out
    of 256, since a release has one size. The code's 224-pixel protocol is a property of the data set:
    ``size=224,resize=256``.
    """

    def __init__(self, params: UCParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[K, 3, H, W]``, one per cluster, within ``run.budget``; reads no labels."""
        clusters = clusters_of(train, self.params.clusters, run, run.surrogate)
        centres = torch.from_numpy(clusters.centres).to(run.device)
        targets = derangement(self.params.derangement, centres.cpu()).to(run.device)
        crafter = _Crafter(self.params, train, clusters, centres, targets, run)
        every = list(range(self.params.clusters))
        groups = [every] if self.params.together else [[one] for one in every]
        delta = np.concatenate([crafter.craft(group) for group in groups])
        self._diagnose(train, clusters, delta, centres, targets, run)
        return Perturbation(delta, clusters.assignment, {"centres": clusters.centres, "targets": targets.cpu().numpy()})

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: dict[str, NDArray[np.float32]], run: CraftRun
    ) -> NDArray[np.int64]:
        """Nearest stored centre ``[N]`` of unseen images: the index of their perturbation."""
        features = extract_features(run.surrogate, images, run.device)
        return nearest_centre(features, torch.from_numpy(np.array(state["centres"]))).numpy()

    @torch.no_grad()
    def _diagnose(
        self,
        train: ImageSet,
        clusters: Clusters,
        delta: NDArray[np.float32],
        centres: Tensor,
        targets: Tensor,
        run: CraftRun,
    ) -> None:
        """Separate failed crafting from failed transfer: do the perturbed images reach the wrong centre at all?"""
        order = torch.randperm(len(train), generator=run.generator("diagnosed"))[:DIAGNOSED].numpy()
        kl = discrepancy("kl", centres, 1.0)
        before, after, reached, stayed, moved = [], [], [], [], []
        for block in np.array_split(order, max(1, len(order) // 250)):
            own = torch.from_numpy(clusters.assignment[block]).to(run.device)
            goal = targets[own]
            x = torch.from_numpy(train.images[block]).to(run.device).float().div_(255.0)
            shift = torch.from_numpy(delta[clusters.assignment[block]]).to(run.device)
            clean = run.surrogate.features(x)
            perturbed = run.surrogate.features((x + shift).clamp_(0, 1))
            before.append(kl(clean, goal))
            after.append(kl(perturbed, goal))
            nearest = nearest_centre(perturbed, centres)
            reached.append(nearest == goal)
            stayed.append(nearest == own)
            moved.append((perturbed - clean).norm(dim=1) / (centres[goal] - centres[own]).norm(dim=1))
        run.note("kl_before", float(torch.cat(before).mean()))
        run.note("kl_after", float(torch.cat(after).mean()))
        run.note("nearest_is_target", float(torch.cat(reached).float().mean()))
        run.note("nearest_is_own", float(torch.cat(stayed).float().mean()))
        run.note("shift_over_centre_distance", float(torch.cat(moved).mean()))
        run.note("saturated", float((np.abs(delta) >= 0.99 * run.budget.radius).mean()))
        run.note("cluster_sizes", np.bincount(clusters.assignment, minlength=self.params.clusters).tolist())


def squash(name: str, output: Tensor, epsilon: float) -> Tensor:
    """``output`` in [-1, 1] within +-``epsilon``: scaled (``tanh``), clamped, or clamped ``straight-through``."""
    if name == "tanh":
        return epsilon * output
    clamped = output.clamp(-epsilon, epsilon)
    # Straight-through: the clamp's value with the gradient of its input.
    return clamped if name == "clamp" else output + (clamped - output).detach()


class _Crafter:
    """Trains the generators of some clusters."""

    def __init__(
        self, params: UCParams, train: ImageSet, clusters: Clusters, centres: Tensor, targets: Tensor, run: CraftRun
    ) -> None:
        self.params, self.run, self.targets = params, run, targets
        self.epsilon = run.budget.radius
        self.block, self.augment = params.block_side(train.size), params.augmentation(train.size)
        self.images = torch.from_numpy(train.images.copy()).to(run.device)
        self.flip = train.flip
        self.members = [np.flatnonzero(clusters.assignment == k) for k in range(params.clusters)]
        self.distance = discrepancy(params.distance, centres, params.temperature)

    def craft(self, group: list[int]) -> NDArray[np.float32]:
        """Perturbations float32 ``[len(group), 3, H, W]`` of the clusters in ``group``."""
        params, run = self.params, self.run
        name = f"cluster-{group[0]}" if len(group) == 1 else "clusters-together"
        generator = run.generator(name)
        sides = (math.ceil(side / self.block) for side in self.images.shape[2:])
        noise = torch.rand((len(group), 3, *sides), generator=generator)
        with torch.random.fork_rng():
            torch.manual_seed(run.seed(f"{name}-weights"))
            bank = GeneratorBank(noise, params.width, params.residual_blocks).to(run.device)
        optimizer = torch.optim.Adam(bank.parameters(), lr=params.lr, weight_decay=params.weight_decay)
        pools = [np.arange(len(self.images)) if params.fit_on == "all" else self.members[k] for k in group]
        steps = self._steps(pools)
        advance = run.progress(
            "crafting" if params.together else f"crafting cluster {group[0] + 1}/{params.clusters}", steps
        )
        first = last = 0.0
        batches = [_cycle(pool, params.batch, generator, params.shuffle) for pool in pools]
        for step in range(steps):
            for parameters in optimizer.param_groups:
                parameters["lr"] = cosine(params.lr, params.final_lr, step / steps)
            indices = [next(batch) for batch in batches]
            loss = self._loss(self._perturbations(bank()), indices, group, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if step in (0, steps - 1):  # two synchronisations with the device in all
                last = float(loss.detach())
                first = last if step == 0 else first
            advance(1)
        run.note(
            "loss" if params.together else f"loss_{group[0]}", {"first": first / len(group), "last": last / len(group)}
        )
        with torch.no_grad():
            return self._perturbations(bank()).cpu().numpy()

    def _steps(self, pools: list[NDArray[np.intp]]) -> int:
        if self.params.epochs is None:
            return self.params.steps
        return self.params.epochs * max(math.ceil(len(pool) / self.params.batch) for pool in pools)

    def _perturbations(self, raw: Tensor) -> Tensor:
        """Perturbations ``[K, 3, H, W]`` within the budget from the generators' outputs."""
        output = torch.tanh(raw)
        if self.block > 1:
            height, width = self.images.shape[2:]
            output = output.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
            output = output[..., :height, :width]
        return squash(self.params.squash, output, self.epsilon)

    def _loss(
        self, delta: Tensor, indices: list[NDArray[np.intp]], group: list[int], generator: torch.Generator
    ) -> Tensor:
        """Sum over clusters of the mean over images, so that one cluster's gradient does not depend on the others."""
        run = self.run
        counts = torch.tensor([len(chosen) for chosen in indices])
        owner = torch.repeat_interleave(torch.arange(len(group)), counts).to(run.device)
        x = self.images[torch.from_numpy(np.concatenate(indices)).to(run.device)].float().div_(255.0)
        if self.augment == "images":
            x = self._crop_flip(x, generator)
        x = (x + delta[owner]).clamp(0, 1)
        if self.augment == "perturbed":
            x = self._crop_flip(x, generator)
        goal = self.targets[torch.tensor(group, device=run.device)][owner]
        losses = self.distance(run.surrogate.features(x), goal)
        return (losses / counts.to(run.device)[owner]).sum()

    def _crop_flip(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Shift each image by up to a seventh of its side (zeros move in) and mirror half of them, differentiably."""
        reach = round(min(x.shape[2:]) / 7)
        offsets = torch.randint(0, 2 * reach + 1, (len(x), 2), generator=generator) - reach
        mirrored = (torch.rand(len(x), generator=generator) < 0.5) & self.flip
        return shifted(x, offsets, mirrored).contiguous(memory_format=torch.channels_last)


def _cycle(pool: NDArray[np.intp], batch: int, generator: torch.Generator, shuffle: bool) -> Iterator[NDArray[np.intp]]:
    """Endless batches of ``pool``, every image once per pass; the last batch of a pass may be smaller."""
    while True:
        order = torch.randperm(len(pool), generator=generator).numpy() if shuffle else np.arange(len(pool))
        for start in range(0, len(pool), batch):
            yield pool[order[start : start + batch]]
