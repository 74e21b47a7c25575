"""AUE and AAP (Wang et al., NeurIPS 2024, arXiv 2402.04010)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ucbench import (
    BiLevel,
    ContrastiveViews,
    ImageSet,
    Perturbation,
    UsageError,
    check_finite,
    cosine,
    expected,
    pgd,
    train_then_perturb,
)

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_aue.params import AAPParams, AUEParams


#: Random views of images ``[B, 3, H, W]``, drawn from a CPU generator.
Views = Callable[[Tensor, torch.Generator], Tensor]


def views(train: ImageSet, strength: float) -> Views:
    """Views at ``strength`` in [0, 1]: at 0 the images themselves.

    At 1 they are those of the paper's contrastive evaluations, but for the least area: here 0.1, there 0.08.
    """
    if strength == 0:
        # A window of the whole area has a random shape, and is cut off at the image's sides.
        return lambda x, generator: x
    return ContrastiveViews(
        train.size, flip=train.flip, crop=1 - 0.9 * strength, strength=0.5 * strength, often=strength, blur=False
    )


class AugmentedUnlearnable:
    """AUE: a supervised network and perturbations minimise one loss in turn, both under contrastive views.

    A round is a pass of cross-entropy on ``t(x + delta)``, t drawn for every image, and a pass over all perturbations
    with the network in eval mode and fixed: ``steps`` signed descent steps on the same loss, t drawn anew for every
    step. Cross-entropy under such views resembles the alignment that contrastive learners seek, whence the effect on
    both.

    Deviations from the official code: see the spec.
    """

    def __init__(self, params: AUEParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes ``train_losses`` (of every round), and ``loss`` and ``error`` of the perturbed images without views.

        Raises:
            DataError: without labels.
            UsageError: for a single image.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        _require_two(train)
        state = BiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        view, steps = views(train, params.strength), state.steps_per_pass(params.batch)
        done, _ = state.resume()
        advance = run.progress("crafting", params.epochs)
        advance(done)
        for epoch in range(done, params.epochs):
            rate = cosine(params.lr, params.final_lr, epoch, params.epochs)
            loss = float(state.learn(epoch * steps, steps, params.batch, rate, view=_augmented(view, run)))
            check_finite(loss, f"The surrogate diverged in round {epoch + 1}")
            state.history.append({"train_loss": loss})
            generator = run.generator(f"perturbing-{epoch}")
            state.frozen()
            for indices in state.batches(params.batch, f"order-{epoch}"):
                state.put(indices, self._descended(state, indices, view, generator))
            state.thaw()
            state.save(epoch + 1)
            advance(1)
        run.note("train_losses", [row["train_loss"] for row in state.history])
        for name, value in state.measured(params.batch).items():
            run.note(name, value)
        return Perturbation(state.delta.cpu().numpy())

    def _descended(self, state: BiLevel, indices: Tensor, view: Views, generator: torch.Generator) -> Tensor:
        x, labels = state.clean(indices), state.labels[indices]
        objective = expected(lambda seen: state.cross_entropy(seen, labels), view, 1, generator)
        step = self.params.step * state.radius
        return pgd(x, state.delta[indices], objective, steps=self.params.steps, step=step, radius=state.radius)


class AugmentedAdversarial:
    """AAP: adversarial examples of a supervised network, where training and steps are under contrastive views.

    The network learns ``t(x)`` of the clean images. Then every perturbation takes ``steps`` signed steps from zero,
    towards the next class that has images (or away from the image's own), with t drawn anew for every step.
    """

    def __init__(self, params: AAPParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes what :func:`ucbench.train_then_perturb` notes, and ``error`` of the perturbed images without views.

        Raises:
            DataError: without labels.
            UsageError: for a single image, and for images of a single class.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        _require_two(train)
        state = BiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        present, place = state.labels.unique(return_inverse=True)
        if len(present) < 2:
            raise UsageError("aap moves images to other classes: it needs images of at least two.")
        sign, aims = (1, present[(place + 1) % len(present)]) if params.goal == "targeted" else (-1, state.labels)
        seen, step = views(train, params.craft_strength), params.travel / params.steps * state.radius

        def against(networks: list[nn.Module]) -> Callable[[int, Tensor], Tensor]:
            def perturb(number: int, indices: Tensor) -> Tensor:
                x, aim = state.clean(indices), aims[indices]
                generator = run.generator(f"perturbing-{number}")
                objective = expected(lambda view: sign * state.cross_entropy(view, aim), seen, 1, generator)
                return pgd(x, torch.zeros_like(x), objective, steps=params.steps, step=step, radius=state.radius)

            return perturb

        learnt = _augmented(views(train, params.train_strength), run)
        delta = train_then_perturb(
            state, run, params.recipe, against, batch=params.batch, work=params.steps, view=learnt
        )
        run.note("error", state.measured(params.batch)["error"])
        return Perturbation(delta)


def _augmented(view: Views, run: CraftRun) -> Callable[[int, Tensor, Tensor], Tensor]:
    """The ``view`` of :meth:`ucbench.BiLevel.learn` that shows random views."""
    return lambda number, x, labels: view(x, run.generator(f"learning-{number}"))


def _require_two(train: ImageSet) -> None:
    if len(train) < 2:
        raise UsageError(f"Augmented perturbations need a trained network, which needs 2 images, not {len(train)}.")
