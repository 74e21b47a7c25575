"""A round of MI-UE: an epoch on the perturbed images, and a pass of steps on the perturbations."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from plain import images as plain_images
from plain import miue as plain_miue
from plain import training as plain_training

from subjects.base import (
    EPSILON,
    Evidence,
    Measured,
    Side,
    Stopwatch,
    array,
    bilevel_surrogate,
    crafting,
    synthetic_images,
)
from subjects.peak import Passes
from subjects.victim import sample
from ucbench.data.imageset import ImageSet
from ucbench.plugins.registry import installed

RADIUS = EPSILON / 255
#: Length of a step over the radius (the first of the released schedule), and settings of the network's training.
STEP, TEMPERATURE = 0.025, 0.1
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4


class _Data(Side):
    @cached_property
    def train(self) -> ImageSet:
        return synthetic_images(self.sizes.gathered, self.sizes.side)

    def fresh(self) -> Any:
        return bilevel_surrogate(self.sizes).module(0, self.train)

    def poisoner(self) -> Any:
        count = self.sizes.gathered
        reference = (
            f"mi-ue@released:rounds=1,steps={self.sizes.attack_steps},flip=false,batch={count},poison_batch={count}"
        )
        return installed().resolve("poisoner", reference).build()

    def visits(self) -> int:
        return len(self.train) * (self.sizes.attack_steps + 1)


class Fast(_Data):
    def check(self) -> tuple[Any, Evidence]:
        """The loss of one batch of features, and its gradient with respect to the images."""
        x, y = sample(self)
        model = self.fresh().to(self.device)
        self.engine.stepper(model, lr=LR)
        model.eval().requires_grad_(False)
        seen = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        loss = self.poisoner().loss(model.features(seen), y)
        (gradient,) = torch.autograd.grad(loss, seen)
        return None, Evidence({"loss": array(loss), "gradient": array(gradient)})

    def measure(self) -> Measured:
        watch = Stopwatch(self, stop=1)
        run = crafting(self, watch, bilevel_surrogate(self.sizes))
        self.poisoner().craft(self.train, run)
        images, steps = len(self.train), self.sizes.attack_steps
        notes = self.beside_peak(Passes(trained=images, attacked=images * steps), watch.seconds)
        return Measured(watch.seconds, self.visits(), steps + 1, notes)


class Plain(_Data):
    def check(self, inputs: None) -> Evidence:
        x, y = sample(self)
        model = self.fresh().to(self.device).eval()
        x.requires_grad_()
        loss = plain_miue.similarity_loss(model.features(x), y, TEMPERATURE)
        loss.backward()
        return Evidence({"loss": array(loss), "gradient": array(x.grad)})

    @cached_property
    def _fastest_loader(self) -> tuple[int, Any]:
        stored = plain_images.Images(self.train.images, self.train.known_labels, plain_images.to_tensor())
        return plain_images.fastest(
            lambda workers: plain_images.loader(
                stored, self.sizes.gathered, shuffle=True, workers=workers, device=self.device
            ),
            lambda batches: self._round(batches, 1),
            self.sizes.most_workers,
        )

    def _round(self, batches: Any, steps: int) -> tuple[float, int]:
        """When the steps began, and their number."""
        model = self.fresh().to(self.device)
        optimizer = plain_training.sgd(model, LR, MOMENTUM, WEIGHT_DECAY)
        noise = torch.zeros(self.train.images.shape)
        started = self.clock()
        done = plain_miue.learn(model, optimizer, batches, noise, self.device)
        done += plain_miue.perturb(
            model,
            batches,
            noise,
            self.device,
            radius=RADIUS,
            step=STEP * RADIUS,
            steps=steps,
            temperature=TEMPERATURE,
        )
        return started, done

    def measure(self) -> Measured:
        workers, batches = self._fastest_loader
        started, updates = self._round(batches, self.sizes.attack_steps)
        return Measured(self.clock() - started, self.visits(), updates, {"workers": workers})
