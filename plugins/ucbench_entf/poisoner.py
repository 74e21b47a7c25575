"""EntF, entangled features (Wen et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import BiLevel, CropFlip, ImageSet, Perturbation, UsageError, expected, pgd, train_then_perturb

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_entf.params import EntFParams


class EntangledFeatures:
    """Images whose robust features lie between the classes, which adversarial training cannot undo.

    A network is trained adversarially on the clean images, cropped and flipped, within a ball of ``adversary`` times
    epsilon. Then every perturbation takes ``steps`` signed steps from normal noise clipped to the ball: away from the
    mean clean features of its class (``push``), or towards the nearest mean of another (``pull``), each time under a
    new random shift, by up to an eighth of the sides, and flip.

    Deviations from the official code: see the spec.
    """

    def __init__(self, params: EntFParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes what :func:`ucbench.train_then_perturb` notes, and ``nearest`` (shares of images, clean and perturbed,
        whose class has the nearest centre).

        Raises:
            DataError: without labels.
            UsageError: for images of a single class.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        present, place = torch.from_numpy(train.known_labels.copy()).to(run.device).unique(return_inverse=True)
        if len(present) < 2:
            raise UsageError("entf entangles classes: it needs images of at least two.")
        state = BiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        crop = CropFlip(train.size, flip=train.flip)
        shift = CropFlip(train.size, flip=train.flip, whole=False)
        centres: list[Tensor] = []

        def learnt(number: int, x: Tensor, labels: Tensor) -> Tensor:
            generator, radius = run.generator(f"learning-{number}"), params.adversary * state.radius
            state.frozen()
            attacked = state.attacked(
                crop(x, generator),
                labels,
                radius=radius,
                step=params.adversary_step * radius,
                steps=params.adversary_steps,
                generator=generator,
            )
            state.thaw()
            return attacked

        def against(networks: list[nn.Module]) -> Callable[[int, Tensor], Tensor]:
            centres.append(state.class_means(params.batch))

            def perturb(number: int, indices: Tensor) -> Tensor:
                x, own, generator = state.clean(indices), place[indices], run.generator(f"perturbing-{number}")
                start = state.radius * torch.randn(x.shape, generator=generator).to(x.device)

                def objective(seen: Tensor) -> Tensor:
                    return entanglement(state.features(seen), centres[0], own, self.params.goal)

                return pgd(
                    x,
                    start,
                    expected(objective, shift, 1, generator),
                    steps=params.steps,
                    step=params.step * state.radius,
                    radius=state.radius,
                )

            return perturb

        delta = train_then_perturb(
            state, run, params.recipe, against, batch=params.batch, work=params.steps, view=learnt
        )
        shares = {
            "clean": self._nearest(state, state.clean, centres[0], place),
            "perturbed": self._nearest(state, state.poisoned, centres[0], place),
        }
        run.note("nearest", shares)
        return Perturbation(delta)

    @torch.no_grad()
    def _nearest(self, state: BiLevel, images: Callable[[Tensor], Tensor], centres: Tensor, place: Tensor) -> float:
        right = torch.zeros((), device=state.delta.device)
        for indices in state.batches(self.params.batch):
            distances = _squared_distances(state.features(images(indices)), centres)
            right += (distances.argmin(1) == place[indices]).sum()
        return float(right) / len(state)


def entanglement(features: Tensor, centres: Tensor, own: Tensor, goal: str) -> Tensor:
    """What is minimised, summed over images.

    Args:
        features: ``[B, D]``.
        centres: ``[K, D]``, of at least two classes.
        own: int64 ``[B]``, the place of each image's class among them.
        goal: ``push``: minus the squared distance from the own centre. ``pull``: that from the nearest other.
    """
    distances = _squared_distances(features, centres)
    if goal == "push":
        return -distances.gather(1, own[:, None]).sum()
    return distances.masked_fill(F.one_hot(own, len(centres)).bool(), torch.inf).amin(1).sum()


def _squared_distances(features: Tensor, centres: Tensor) -> Tensor:
    """``[B, K]``; by differences, whose rounding does not hide small ones."""
    return (features[:, None] - centres).square().sum(2)
