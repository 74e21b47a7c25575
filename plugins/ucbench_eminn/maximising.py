"""Error-maximising noise (the baseline of Huang et al., ICLR 2021, arXiv 2101.04898)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ucbench import BiLevel, ImageSet, Perturbation, check_finite, cosine, pgd
from ucbench_eminn.state import prepared

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import EMaxNParams


class ErrorMaximising:
    """One perturbation per image, made adversarial for a network that has learnt the clean images.

    The surrogate trains on the clean images for ``epochs`` passes; then every image takes ``steps`` signed ascent steps
    on its cross-entropy from no perturbation, the surrogate in eval mode and frozen.

    The record says whether the published error of 0.9 was reached.
    """

    def __init__(self, params: EMaxNParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Raises:
            UsageError: for a single image or class, or without a surrogate.
            DataError: without labels.
            DivergedError: if the surrogate's loss is not finite.
        """
        params = self.params
        bilevel = prepared(train, run, params)
        done, _ = bilevel.resume()
        steps = bilevel.steps_per_pass(params.batch)
        batches = list(bilevel.batches(params.batch))

        def rate(number: int) -> float:
            if params.schedule == "constant":
                return params.lr
            return cosine(params.lr, 0.0, number, params.epochs * steps)

        advance = run.progress("crafting", (params.epochs - done) * steps + len(batches) * params.steps)
        for epoch in range(done, params.epochs):
            loss = float(bilevel.learn(epoch * steps, steps, params.batch, rate))
            check_finite(loss, f"The surrogate diverged in epoch {epoch + 1}")
            bilevel.history.append({"train_loss": loss})
            bilevel.save(epoch + 1)
            advance(steps)
        clean = bilevel.measured(params.batch)
        bilevel.frozen()
        for indices in batches:
            bilevel.put(indices, self._ascended(bilevel, indices))
            advance(params.steps)
        perturbed = bilevel.measured(params.batch)
        run.note("train_losses", [row["train_loss"] for row in bilevel.history])
        run.note("clean_error", clean["error"])
        run.note("error", perturbed["error"])
        run.note("losses", {"clean": clean["loss"], "perturbed": perturbed["loss"]})
        run.note("reached", perturbed["error"] >= params.wanted_error)
        return Perturbation(bilevel.delta.cpu().numpy())

    def _ascended(self, bilevel: BiLevel, indices: Tensor) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of the images at ``indices`` that raise the cross-entropy."""
        x, labels = bilevel.clean(indices), bilevel.labels[indices]
        return pgd(
            x,
            torch.zeros_like(x),
            lambda p: -bilevel.cross_entropy(p, labels),
            steps=self.params.steps,
            step=self.params.step * bilevel.radius,
            radius=bilevel.radius,
        )
