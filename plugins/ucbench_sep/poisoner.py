"""SEP, self-ensemble protection (Chen et al., ICLR 2023, arXiv 2211.12005)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import BiLevel, CropFlip, ImageSet, Perturbation, UsageError, project, train_then_perturb

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_sep.params import SEPParams


class SelfEnsemble:
    """Images that no checkpoint of a normal training recognises, which the victim's training then ignores as well.

    A network learns the clean images, and its weights are kept at some epochs. Every image, of class y, then descends
    in all of them at once: to the mean clean features of class ``g(y) = y + K // 2`` modulo K (``sep-fa``,
    ``sep-fa-vr``), by squared distance, or to a prediction of that class (``sep``). Steps follow the sign of the
    gradients' mean over checkpoints.

    With ``sep-fa-vr`` (as in the official code) a step is preceded by ``inner`` trial steps from the same point. Each
    draws a checkpoint, and adds its gradient at the trial point, less its gradient at the outer point, plus the mean
    over checkpoints there, to a sum whose sign moves the trial point; the outer step takes the sign of the final sum.

    Deviations from the official code: see the spec.
    """

    def __init__(self, params: SEPParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes what :func:`ucbench.train_then_perturb` notes, and ``recognised`` (share of pairs of a perturbed image and
        a checkpoint that gives it its own class).

        Raises:
            DataError: without labels.
            UsageError: for a single image or class.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        present, place = torch.from_numpy(train.known_labels.copy()).to(run.device).unique(return_inverse=True)
        if len(present) < 2:
            raise UsageError("sep moves images to other classes: it needs images of at least two.")
        state = BiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        crop = CropFlip(train.size, flip=train.flip)
        aims = (place + len(present) // 2) % len(present)
        ensemble: list[nn.Module] = []

        def against(networks: list[nn.Module]) -> Callable[[int, Tensor], Tensor]:
            ensemble.extend(networks)
            means = [state.class_means(params.batch, network) for network in networks]

            def perturb(number: int, indices: Tensor) -> Tensor:
                aim = aims[indices]

                def gradient(which: int, perturbed: Tensor) -> Tensor:
                    perturbed, network = perturbed.detach().requires_grad_(), networks[which]
                    if params.variant == "sep":
                        loss = F.cross_entropy(state.scores(perturbed, network), present[aim], reduction="sum")
                    else:
                        loss = F.mse_loss(state.features(perturbed, network), means[which][aim], reduction="sum")
                    return torch.autograd.grad(loss, perturbed)[0]

                generator = run.generator(f"drawn-{number}")
                return self._descended(state.clean(indices), gradient, len(networks), state.radius, generator)

            return perturb

        delta = train_then_perturb(
            state,
            run,
            params.recipe,
            against,
            batch=params.batch,
            work=params.steps,
            view=lambda number, x, labels: crop(x, run.generator(f"learning-{number}")),
            keep=params.keep,
        )
        run.note("recognised", _recognised(state, ensemble))
        return Perturbation(delta)

    def _descended(
        self,
        x: Tensor,
        gradient: Callable[[int, Tensor], Tensor],
        count: int,
        radius: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of ``x`` after all steps.

        Args:
            gradient: of checkpoint ``which`` at perturbed images.
            count: number of checkpoints.
            generator: draws them for the inner steps.
        """
        params, delta = self.params, torch.zeros_like(x)

        def moved(start: Tensor, slope: Tensor) -> Tensor:
            return project(start - params.step * radius * slope.sign(), x, radius)

        for _ in range(params.steps):
            slopes = [gradient(which, x + delta) for which in range(count)]
            mean = torch.stack(slopes).mean(0)
            if params.variant != "sep-fa-vr":
                delta = moved(delta, mean)
                continue
            trial, total = delta, torch.zeros_like(x)
            for which in torch.randint(count, (params.inner,), generator=generator).tolist():
                total += gradient(which, x + trial) - slopes[which] + mean
                trial = moved(trial, total)
            delta = moved(delta, total)
        return delta


@torch.no_grad()
def _recognised(state: BiLevel, networks: list[nn.Module]) -> float:
    """Share of pairs of a perturbed image and a network that predicts its own class."""
    right = torch.zeros((), device=state.delta.device)
    for indices in state.batches(500):
        x = state.poisoned(indices)
        for network in networks:
            right += (state.scores(x, network).argmax(1) == state.labels[indices]).sum()
    return float(right) / (len(state) * len(networks))
