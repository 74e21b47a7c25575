"""An epoch of adversarial training: PGD within 8/255, then a step on its adversarial examples."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from plain import images as plain_images
from plain import training as plain_training

from subjects.base import EPSILON, Evidence, Measured, Side, array, network, synthetic_images, victim
from subjects.peak import Passes
from subjects.victim import PADDING_SHARE, sample
from ucbench.data.imageset import ImageSet
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.training.defenses import DefensePipeline, DefenseRun
from ucbench.training.normalized import channel_statistics, normalized

RADIUS = EPSILON / 255
#: Length of a step over the radius: the defense's default.
STEP = 0.25
_CHECKED_STEPS = 2


class _Data(Side):
    @cached_property
    def train(self) -> ImageSet:
        return synthetic_images(self.sizes.attacked, self.sizes.side)


class Fast(_Data):
    def check(self) -> tuple[Any, Evidence]:
        """Adversarial examples after two steps from one start, and the gradient at that start.

        In double precision: in float32 a unit near 0 is on in one layout and off in the other.
        """
        from ucbench_adversarial.pgd import attack, uniform

        x, y = sample(self)
        x = x.double()
        model = normalized(network(self.sizes), "data", self.train).to(self.device).double()
        model.model.to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(3)
        perturbed = attack(model, x, y, epsilon=EPSILON, step=STEP, steps=_CHECKED_STEPS, generator=generator)
        start = uniform(x, "linf", RADIUS, torch.Generator().manual_seed(3))
        seen = (x + start).clamp(0, 1).requires_grad_()
        model.eval()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(seen), y), seen)
        evidence = Evidence({"gradient": array(gradient)}, {"change": (array(perturbed - x), array(gradient))})
        return start.cpu().numpy(), evidence

    def measure(self) -> Measured:
        registry, sizes = installed(), self.sizes
        defense = registry.resolve("defense", f"adversarial-training:steps={sizes.attack_steps},step={STEP}").build()
        pipeline = DefensePipeline([("adversarial-training", defense)])
        run = DefenseRun(self.engine, ("train", 0), Silent())
        steps = []
        result = self.engine.fit(
            network(sizes), self.train, victim(sizes).recipe, seed=0, run=run, defenses=pipeline, progress=steps.append
        )
        passes, images = sizes.attack_steps + 1, len(self.train)
        notes = self.beside_peak(Passes(trained=images, attacked=images * sizes.attack_steps), result.seconds)
        return Measured(result.seconds, images * passes, sum(steps) * passes, notes)


class Plain(_Data):
    def _model(self) -> torch.nn.Module:
        return torch.nn.Sequential(plain_training.Normalize(*channel_statistics(self.train)), network(self.sizes)).to(
            self.device
        )

    def check(self, start: np.ndarray[Any, Any]) -> Evidence:
        x, y = sample(self)
        x, model, delta = x.double(), self._model().double(), torch.from_numpy(start).to(self.device)
        perturbed = plain_training.pgd(model, x, y, delta, epsilon=RADIUS, step=STEP * RADIUS, steps=_CHECKED_STEPS)
        seen = (x + delta).clamp(0, 1).requires_grad_()
        model.eval()
        F.cross_entropy(model(seen), y).backward()
        return Evidence({"gradient": array(seen.grad)}, {"change": (array(perturbed - x), array(seen.grad))})

    @cached_property
    def _fastest_loader(self) -> tuple[int, Any]:
        side = self.sizes.side
        transform = plain_images.augmenting(side, round(PADDING_SHARE * side), flip=True)
        stored = plain_images.Images(self.train.images, self.train.known_labels, transform)
        return plain_images.fastest(
            lambda workers: plain_images.loader(
                stored, self.sizes.batch, shuffle=True, workers=workers, device=self.device
            ),
            lambda batches: self._epoch(batches, 1),
            self.sizes.most_workers,
        )

    def _epoch(self, batches: Any, steps: int) -> tuple[float, int]:
        """When the steps began, and their number."""
        recipe, model = victim(self.sizes).recipe, self._model()
        optimizer = plain_training.sgd(model, recipe.lr, recipe.momentum, recipe.weight_decay)
        options = {"epsilon": RADIUS, "step": STEP * RADIUS, "steps": steps}
        return self.clock(), plain_training.adversarial_epoch(model, optimizer, batches, self.device, **options)[1]

    def measure(self) -> Measured:
        workers, batches = self._fastest_loader
        started, updates = self._epoch(batches, self.sizes.attack_steps)
        images = len(self.train) * (self.sizes.attack_steps + 1)
        return Measured(self.clock() - started, images, updates, {"workers": workers})
