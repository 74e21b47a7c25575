"""TUE, transferable unlearnable examples (Ren et al., ICLR 2023, arXiv 2210.10114)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import BiLevel, ContrastiveViews, ImageSet, Perturbation, UsageError, check_finite, nt_xent, pgd, seeded

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_tue.params import TUEParams

#: Added to both sides of the discriminant's fractions, as in the official code.
_TINY = 1e-5


class Projector(nn.Module):
    """A network and a head on its penultimate features, linear - batch norm - ReLU - linear, as in the official code.

    Args:
        network: has ``features(x)``; its classifier is not used.
        features: their number.
        dimensions: of the projections.
    """

    def __init__(self, network: nn.Module, features: int, dimensions: int) -> None:
        super().__init__()
        self.network: Any = network
        self.head = nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Linear(features, dimensions),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to projections ``[B, dimensions]``."""
        projections: Tensor = self.head(self.network.features(x))
        return projections


class TransferableUnlearnable:
    """Perturbations that leave a contrastive learner nothing to learn, and whose classes are linearly separable.

    From a uniform start, a turn is ``network_steps`` steps of SimCLR on the perturbed images, without labels, and a
    pass over all perturbations with the network in eval mode and fixed: ``steps`` signed descent steps on ``w`` times
    SimCLR's loss (two fresh views of every image a step) plus ``v`` times :func:`discriminant` of the batch's
    perturbations. The second term, which reads the labels, carries the effect over to supervised learners.

    Deviations: see the spec.
    """

    def __init__(self, params: TUEParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes ``contrastive_losses`` (mean of every turn; empty where no network is trained) and ``discriminant`` (over
        all perturbations, at the start and at the end).

        Raises:
            DataError: without labels.
            UsageError: for a single image.
            DivergedError: if the network's loss is not finite.
        """
        params = self.params
        if len(train) < 2:
            raise UsageError(f"Contrastive learning compares images: it needs at least 2, and there is {len(train)}.")
        state = BiLevel(
            train,
            run,
            wrap=lambda network: _projected(network, train, params.projection, run),
            lr=params.lr,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
        )
        views = ContrastiveViews(train.size, flip=train.flip, crop=params.crop, strength=0.5, blur=False)
        everyone = torch.arange(len(train), device=run.device)
        start = state.radius * (2 * torch.rand(train.images.shape, generator=run.generator("start")) - 1)
        state.put(everyone, start.to(run.device))
        before = float(discriminant(state.delta, state.labels))
        done, _ = state.resume()
        advance = run.progress("crafting", params.rounds)
        advance(done)
        for number in range(done, params.rounds):
            if params.ssl_weight:
                state.history.append({"loss": self._learn(state, number, views, run)})
            state.frozen()
            generator = run.generator(f"views-{number}")
            for indices in state.batches(params.batch, f"perturbing-{number}"):
                state.put(indices, self._descended(state, indices, views, generator))
            state.thaw()
            state.save(number + 1)
            advance(1)
        run.note("contrastive_losses", [row["loss"] for row in state.history])
        run.note("discriminant", {"start": before, "end": float(discriminant(state.delta, state.labels))})
        return Perturbation(state.delta.cpu().numpy())

    def _learn(self, state: BiLevel, turn: int, views: ContrastiveViews, run: CraftRun) -> float:
        """The network's steps of a turn; returns their mean loss."""
        steps = self.params.network_steps

        def contrast(number: int, x: Tensor, labels: Tensor, rate: float | None) -> Tensor:
            return state.stepper.apply(self._contrasted(state, x, views, run.generator(f"learning-{number}")))

        state.thaw()
        mean = float(state.learn(turn * steps, steps, self.params.batch, step=contrast))
        check_finite(mean, f"tue: contrastive training diverged in turn {turn + 1}")
        return mean

    def _contrasted(self, state: BiLevel, x: Tensor, views: ContrastiveViews, generator: torch.Generator) -> Tensor:
        """SimCLR's loss of two fresh views of images ``[B, 3, H, W]``."""
        return nt_xent(state.scores(torch.cat([views(x, generator), views(x, generator)])), self.params.temperature)

    def _descended(
        self, state: BiLevel, indices: Tensor, views: ContrastiveViews, generator: torch.Generator
    ) -> Tensor:
        params, x, labels = self.params, state.clean(indices), state.labels[indices]

        def objective(perturbed: Tensor) -> Tensor:
            total = torch.zeros((), device=x.device)
            if params.ssl_weight:
                total = total + params.ssl_weight * self._contrasted(state, perturbed, views, generator)
            if params.csd_weight:
                total = total + params.csd_weight * discriminant(perturbed - x, labels)
            return total

        step = params.step * state.radius
        return pgd(x, state.delta[indices], objective, steps=params.steps, step=step, radius=state.radius)


def discriminant(delta: Tensor, labels: Tensor) -> Tensor:
    """The class-wise separability discriminant of perturbations: small where classes are tight and far apart.

    The mean over ordered pairs of the classes that occur of ``(s_k + s_m + 1e-5) / (|c_k - c_m| + 1e-5)``, c being
    the mean of a class and s the mean distance from it, which is held fixed: the gradient only moves means apart.

    Args:
        delta: ``[B, ...]``.
        labels: int64 ``[B]``.

    Returns:
        A scalar; 0, with a gradient of 0, for a single class.
    """
    values = delta.flatten(1)
    _, place = labels.unique(return_inverse=True)
    member = F.one_hot(place).to(values.dtype)
    share = member / member.sum(0)
    # Products of matrices: sums that are scattered into do not come out the same every time on every device.
    centres = share.T @ values
    with torch.no_grad():
        spread = share.T @ (values - member @ centres).norm(dim=1)
    others = ~torch.eye(len(centres), dtype=torch.bool, device=delta.device)
    if not others.any():
        return values.sum() * 0
    # Not by way of scalar products, whose rounding hides small distances. The gradient of a distance of 0 is 0.
    distances = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")
    ratios: Tensor = (spread[:, None] + spread + _TINY) / (distances + _TINY)
    return ratios.where(others, 0.0).sum() / others.sum()


def _projected(network: nn.Module, train: ImageSet, dimensions: int, run: CraftRun) -> nn.Module:
    with torch.no_grad():
        features = network.eval().features(torch.zeros(1, *train.images.shape[1:])).shape[1]  # type: ignore[operator]
    with seeded(run.seed("head")):
        return Projector(network.train(), features, dimensions)
