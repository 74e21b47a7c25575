"""A round of error-minimising noise: some steps of the network, then a sweep over all perturbations."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from plain import eminn as plain_eminn
from plain import images as plain_images
from plain import training as plain_training
from torch import Tensor

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
#: Length of a step over the radius, learning rate and largest gradient norm of the network.
STEP, LR, CLIP = 0.1, 0.1, 5.0
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
_CHECKED_STEPS = 2


class _Data(Side):
    @cached_property
    def train(self) -> ImageSet:
        return synthetic_images(self.sizes.attacked, self.sizes.side)

    def fresh(self) -> torch.nn.Module:
        return bilevel_surrogate(self.sizes).module(0, self.train)

    def start(self, x: torch.Tensor) -> torch.Tensor:
        drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)).to(x.device)
        return RADIUS * (2 * drawn - 1)

    def work(self) -> int:
        """Steps of the network and of the batches of perturbations."""
        batches = -(-len(self.train) // self.sizes.batch)
        return self.sizes.network_steps + batches * self.sizes.attack_steps

    def passes(self) -> Passes:
        batch = min(self.sizes.batch, len(self.train))
        return Passes(self.sizes.network_steps * batch, len(self.train) * self.sizes.attack_steps)

    def visits(self) -> int:
        return self.passes().trained + self.passes().attacked


class Fast(_Data):
    def check(self) -> tuple[Any, Evidence]:
        """The gradient of the loss that a sweep lowers, and perturbations after two steps from one start.

        In double precision: in float32 a unit near 0 is on in one layout and off in the other.
        """
        from ucbench.crafting.pgd import pgd

        x, y = sample(self)
        x, start = x.double(), self.start(x).double()
        model = self.fresh().to(self.device)
        self.engine.stepper(model, lr=LR)  # brings the network to the engine's layout
        model.eval().requires_grad_(False).double()

        def objective(images: Tensor) -> Tensor:
            with self.engine.autocast():
                scores = model(images.contiguous(memory_format=torch.channels_last))
            return F.cross_entropy(scores.to(torch.promote_types(scores.dtype, torch.float32)), y, reduction="sum")

        seen = (x + start).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(objective(seen), seen)
        delta = pgd(x, start, objective, steps=_CHECKED_STEPS, step=STEP * RADIUS, radius=RADIUS)
        mean_gradient = array(gradient) / len(x)
        return None, Evidence({"gradient": mean_gradient}, {"perturbation": (array(delta), mean_gradient)})

    def measure(self) -> Measured:
        sizes = self.sizes
        reference = (
            f"eminn:network_steps={sizes.network_steps},steps={sizes.attack_steps},step={STEP},batch={sizes.batch},"
            f"lr={LR},min_sweeps=1,max_sweeps=1,stop_error=none"
        )
        watch = Stopwatch(self, stop=self.work())
        run = crafting(self, watch, bilevel_surrogate(sizes))
        installed().resolve("poisoner", reference).build().craft(self.train, run)
        return Measured(watch.seconds, self.visits(), self.work(), self.beside_peak(self.passes(), watch.seconds))


class Plain(_Data):
    def check(self, inputs: None) -> Evidence:
        x, y = sample(self)
        x, start = x.double(), self.start(x).double()
        model = self.fresh().to(self.device).eval().double()
        seen = (x + start).clamp(0, 1).requires_grad_()
        F.cross_entropy(model(seen), y).backward()
        options = {"radius": RADIUS, "step": STEP * RADIUS, "steps": _CHECKED_STEPS}
        delta = plain_eminn.pgd(model, x, y, start, **options)
        return Evidence({"gradient": array(seen.grad)}, {"perturbation": (array(delta), array(seen.grad))})

    def _loader(self, workers: int, *, shuffle: bool) -> Any:
        stored = plain_images.Images(self.train.images, self.train.known_labels, plain_images.to_tensor())
        return plain_images.loader(stored, self.sizes.batch, shuffle=shuffle, workers=workers, device=self.device)

    @cached_property
    def _fastest_loaders(self) -> tuple[int, Any, Any]:
        workers, shuffled = plain_images.fastest(
            lambda count: self._loader(count, shuffle=True),
            lambda batches: self._round(batches, batches, steps=1),
            self.sizes.most_workers,
        )
        return workers, shuffled, self._loader(workers, shuffle=False)

    def _round(self, shuffled: Any, ordered: Any, steps: int) -> tuple[float, int]:
        """When the steps began, and their number."""
        model = self.fresh().to(self.device)
        optimizer = plain_training.sgd(model, LR, MOMENTUM, WEIGHT_DECAY)
        noise = torch.from_numpy(np.zeros(self.train.images.shape, np.float32))
        started = self.clock()
        done = plain_eminn.network_steps(
            model,
            optimizer,
            plain_eminn.endless(shuffled),
            noise,
            self.device,
            steps=self.sizes.network_steps,
            clip=CLIP,
        )
        options = {"radius": RADIUS, "step": STEP * RADIUS, "steps": steps}
        return started, done + plain_eminn.sweep(model, ordered, noise, self.device, **options)

    def measure(self) -> Measured:
        workers, shuffled, ordered = self._fastest_loaders
        started, updates = self._round(shuffled, ordered, self.sizes.attack_steps)
        return Measured(self.clock() - started, self.visits(), updates, {"workers": workers})
