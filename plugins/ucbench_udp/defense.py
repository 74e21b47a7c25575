"""Detection and defense by a two-layer network (Zhu, Yu and Gao, AAAI 2024, arXiv 2312.08898)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import (
    ContrastiveViews,
    ImageSet,
    Recipe,
    ResidentSet,
    UsageError,
    learning_rate,
    pgd,
    seeded,
    split_evenly,
)

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_udp.params import NoiseParams

#: Lengths of a step in units of the radius, in the adversarial training and for the noise (2/255 and 1/255 of 8/255).
_TRAINING_STEP, _NOISE_STEP = 1 / 4, 1 / 8
_HELD_OUT = 0.2
#: Most inputs for a unit per input: images of 64 x 64, 600 MB of weights.
_INPUTS = 3 * 64 * 64
_TOGETHER = 500


class AdversarialNoise:
    """Add to every image what a small network cannot bear, and train with strong augmentation.

    A two-layer network learns most perturbations and little of natural images. So its held-out accuracy detects a
    release, and the noise that raises its loss, after it was adversarially trained, acts against the perturbation.

    The record notes ``detector_accuracy`` (percent, held-out) and ``noisy`` (whether noise was added).
    """

    def __init__(self, params: NoiseParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The set with noise, rounded to 8 bits; as it is where the detector's accuracy is below the threshold.

        Raises:
            DataError: without labels.
            UsageError: for a unit per input and images of more than 64 x 64 pixels.
        """
        if self.params.hidden is None and train.images[0].size > _INPUTS:
            raise UsageError(
                f"A hidden layer with a unit per input has {train.images[0].size ** 2:,} weights for images of "
                f"{train.size[0]}x{train.size[1]}; the most are 64x64. Give it a width, such as hidden=512."
            )
        accuracy = self._detected(train, run)
        noisy = accuracy is None or accuracy >= self.params.threshold
        run.note("detector_accuracy", accuracy)
        run.note("noisy", noisy)
        return self._noised(train, run) if noisy else train

    def augment(self, x: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """A crop of a random area, jittered or grey, of every image ``[B, 3, H, W]`` in [0, 1]."""
        strength = self.params.strength
        if not strength:
            return x
        # Half of SimCLR's strengths are the 0.4, 0.4, 0.4 and 0.1 of the official code.
        views = ContrastiveViews(
            (x.shape[2], x.shape[3]),
            flip=False,
            crop=1 - 0.9 * strength,
            strength=0.5 * strength,
            often=strength,
            blur=False,
        )
        return views(x, generator)

    def _network(self, train: ImageSet, run: DefenseRun, stream: str) -> nn.Module:
        inputs = train.images[0].size
        hidden = self.params.hidden or inputs
        with seeded(run.seed(stream)):
            return nn.Sequential(
                nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, len(train.classes))
            )

    def _recipe(self) -> Recipe:
        epochs = self.params.epochs
        return Recipe(
            epochs=epochs,
            batch=self.params.batch,
            lr=self.params.lr,
            schedule="step",
            milestones=tuple(sorted({epochs * 3 // 4, epochs * 9 // 10} - {0})),
            crop=0,
            flip="never",
            normalize="none",
            evaluate_every=epochs,
        )

    def _detected(self, train: ImageSet, run: DefenseRun) -> float | None:
        """Held-out accuracy of the network in percent; None for a set too small to hold any out."""
        labels, order = train.known_labels, np.random.default_rng(run.seed("held-out")).permutation(len(train))
        held_out, fitted = np.split(order, [int(_HELD_OUT * len(train))])
        if not len(held_out):
            return None
        recipe, seen = self._recipe(), train.subset(fitted)
        steps = recipe.epochs * split_evenly(len(seen), recipe.batch)
        result = run.engine.fit(
            self._network(train, run, "detector"),
            seen,
            recipe,
            seed=run.seed("detector's order"),
            progress=run.progress("detecting the perturbation", steps),
        )
        correct = run.engine.predict(result.model, train.subset(held_out)) == labels[held_out]
        return 100 * float(correct.mean())

    def _noised(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        network, recipe = self._network(train, run, "noise"), self._recipe()
        data = ResidentSet(train, padding=0, flip=False, device=run.device)
        stepper = run.engine.stepper(network, lr=recipe.lr)
        per_epoch = split_evenly(len(train), recipe.batch)
        advance = run.progress("training the network of the noise", recipe.epochs * per_epoch)
        generator, step = run.generator("noise's order"), 0
        for _ in range(recipe.epochs):
            for x, labels in data.epoch(recipe.batch, generator):
                attacked = self._attacked(network, x, labels, _TRAINING_STEP)
                stepper.step(attacked, labels, learning_rate(recipe, step, per_epoch))
                step += 1
                advance(1)
        images = np.empty_like(train.images)
        targets = torch.from_numpy(train.known_labels.copy()).to(run.device)
        for begin in range(0, len(train), _TOGETHER):
            block = slice(begin, begin + _TOGETHER)
            x = torch.from_numpy(train.images[block].copy()).to(run.device).float() / 255
            noisy = self._attacked(network, x, targets[block], _NOISE_STEP)
            images[block] = (255 * noisy).round().to(torch.uint8).cpu().numpy()
        return train.with_images(images)

    def _attacked(self, network: nn.Module, x: Tensor, labels: Tensor, step: float) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] after ascent on the cross-entropy from themselves, in eval mode."""
        network.eval().requires_grad_(False)
        radius = self.params.epsilon / 255
        delta = pgd(
            x,
            torch.zeros_like(x),
            lambda p: -F.cross_entropy(network(p), labels, reduction="sum"),
            steps=self.params.steps,
            step=step * radius,
            radius=radius,
        )
        network.requires_grad_(True)
        return (x + delta).clamp(0, 1)
