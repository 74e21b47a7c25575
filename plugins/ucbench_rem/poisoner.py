"""REM (Fu et al., ICLR 2022, arXiv 2203.14533) and SEM (Liu et al., AAAI 2024, arXiv 2311.13091)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ucbench import BiLevel, CropFlip, ImageSet, Perturbation, UsageError, check_finite, expected, pgd

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_rem.params import REMParams


class RobustErrorMinimising:
    """Perturbations that leave an adversarially training network nothing to learn.

    In every step of the surrogate a batch is perturbed from a uniform start by signed descent on the loss of an
    adversary's examples around random views t of the perturbed images (the sum over ``samples`` views)::

        min over |delta| <= epsilon of  E over t  max over |a| <= rho of  CE(f(t(x + delta) + a), y)

    where a is found anew for every view and then held fixed; the surrogate, in eval mode meanwhile, then learns from
    adversarial examples of another view. After the last step all images are perturbed once more, and these
    perturbations are published. t crops by up to an eighth of the shorter side, with black around, and flips.

    Deviations: see the spec.
    """

    #: Whether the perturbations meet the adversary, or only its random start.
    attacks_noise = True

    def __init__(self, params: REMParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes ``train_losses`` (adversarial, of every pass), and ``loss`` and ``error`` of the perturbed images.

        Raises:
            DataError: without labels.
            UsageError: for a single image.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        if len(train) < 2:
            raise UsageError(f"Robust error-minimising noise trains a network: it needs 2 images, not {len(train)}.")
        state = BiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        crop = CropFlip(train.size, flip=train.flip)

        def perturb(stream: str, indices: Tensor, *, final: bool = False) -> None:
            state.put(indices, self.descended(state, indices, crop, run.generator(stream), final=final))
            state.thaw()

        def view(number: int, x: Tensor, labels: Tensor) -> Tensor:
            generator = run.generator(f"learning-{number}")
            state.frozen()
            attacked = self.disturbed(state, crop(x, generator), labels, generator, attacks=True)
            state.thaw()
            return attacked

        per_pass = state.steps_per_pass(params.batch)
        passes, batches = math.ceil(params.network_steps / per_pass), list(state.batches(params.batch))
        done, _ = state.resume()
        advance = run.progress("crafting", params.network_steps + len(batches))
        advance(min(done * per_pass, params.network_steps) + max(0, done - passes))
        for number in range(done, passes):
            first = number * per_pass
            steps = min(per_pass, params.network_steps - first)
            loss = float(
                state.learn(first, steps, params.batch, self.rate, lambda n, i: perturb(f"perturbing-{n}", i), view)
            )
            check_finite(loss, f"The surrogate diverged in pass {number + 1}")
            state.history.append({"train_loss": loss})
            state.save(number + 1)
            advance(steps)
        for number, indices in enumerate(batches):
            if passes + number >= done:
                perturb(f"publishing-{number}", indices, final=True)
                state.save(passes + number + 1)
                advance(1)
        run.note("train_losses", [row["train_loss"] for row in state.history])
        for name, value in state.measured(params.batch).items():
            run.note(name, value)
        return Perturbation(state.delta.cpu().numpy())

    def rate(self, number: int) -> float:
        """The surrogate's learning rate at its step ``number``, from 0."""
        return float(self.params.lr * 0.1 ** (number // self.params.lr_drop_every))

    def descended(
        self, state: BiLevel, indices: Tensor, crop: CropFlip, generator: torch.Generator, *, final: bool = False
    ) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of the images at ``indices``; leaves the network frozen.

        Args:
            final: take the steps and samples of those that are published.
        """
        params, x, labels = self.params, state.clean(indices), state.labels[indices]
        steps, step, samples = params.steps, params.step, params.samples
        if final and params.final_steps is not None:
            steps, step = params.final_steps, params.step * params.steps / params.final_steps
        if final and params.final_samples is not None:
            samples = params.final_samples
        state.frozen()

        def robust(shown: Tensor) -> Tensor:
            change = (
                self.disturbed(state, shown.detach(), labels, generator, attacks=self.attacks_noise) - shown.detach()
            )
            return state.cross_entropy(shown + change, labels)

        start = state.radius * (2 * torch.rand(x.shape, generator=generator).to(x.device) - 1)
        objective = expected(robust, crop, samples, generator)
        return pgd(x, start, objective, steps=steps, step=step * state.radius, radius=state.radius)

    def disturbed(
        self, state: BiLevel, x: Tensor, labels: Tensor, generator: torch.Generator, *, attacks: bool
    ) -> Tensor:
        """Images ``[B, 3, H, W]`` within rho of ``x``: adversarial for the frozen network, or random."""
        radius = self.params.adversary * state.radius
        return state.attacked(
            x,
            labels,
            radius=radius,
            step=self.params.adversary_step * radius,
            steps=self.params.adversary_steps if attacks else 0,
            generator=generator,
        )


class StableErrorMinimising(RobustErrorMinimising):
    """As :class:`RobustErrorMinimising`, but perturbations meet uniform noise of radius rho in place of the adversary.

    The surrogate still trains adversarially, as in the paper's framework and the official code, which changes REM's
    code in this one place. Other deviations are those named there.
    """

    attacks_noise = False
