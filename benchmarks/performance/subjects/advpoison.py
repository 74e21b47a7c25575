"""Steps of Adversarial Poisoning: towards a wrong class, through a random view of every image."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from plain import advpoison as plain_advpoison
from plain import images as plain_images

from subjects.base import (
    CLASSES,
    EPSILON,
    Evidence,
    Measured,
    Side,
    Stopwatch,
    array,
    crafting,
    network,
    synthetic_images,
)
from subjects.peak import Passes
from subjects.victim import sample
from ucbench.data.imageset import ImageSet
from ucbench.plugins.registry import installed
from ucbench.training.normalized import channel_statistics

RADIUS = EPSILON / 255
#: Length of a step over the radius, and the largest shift of a view as a share of the side.
STEP, REACH = 0.1, 1 / 8


class _Data(Side):
    @cached_property
    def train(self) -> ImageSet:
        return synthetic_images(self.sizes.attacked, self.sizes.side)

    @cached_property
    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        return channel_statistics(self.train)


class Fast(_Data):
    def _surrogate(self) -> Any:
        """The classifier as the core provides it, with initial weights: training it would not change the speed."""
        from ucbench.training.surrogate import NetworkSurrogate
        from ucbench_timm.surrogates import TimmNetwork

        surrogate = NetworkSurrogate()
        mean, std = self.statistics
        surrogate.adopt(TimmNetwork(network(self.sizes), mean=mean, std=std))
        surrogate.to(self.engine.device, self.engine.dtype)
        return surrogate

    def check(self) -> tuple[Any, Evidence]:
        """The view, the loss and its gradient.

        In double precision: in float32 a unit near 0 is on in one layout and off in the other.
        """
        from ucbench_advpoison.crafter import random_view

        x, y = sample(self)
        x = x.double()
        draws = torch.rand((len(x), 3), generator=torch.Generator().manual_seed(4)).to(self.device)
        mean = self.statistics[0]
        x.requires_grad_()
        seen = random_view(x, draws, mean, mirror=True)
        surrogate = self._surrogate()
        surrogate.module().double()
        loss = F.cross_entropy(surrogate.logits(seen), y)
        (gradient,) = torch.autograd.grad(loss, x)
        return array(draws), Evidence({"view": array(seen), "loss": array(loss), "gradient": array(gradient)})

    def measure(self) -> Measured:
        sizes = self.sizes
        steps = sizes.attack_steps + 1
        reference = f"adv-poison:steps={steps},step={STEP},batch={len(self.train)}"
        # The first step begins at unit 1 and the last one at unit `steps`: those between are timed.
        watch = Stopwatch(self, start=1, stop=steps)
        run = crafting(self, watch, self._surrogate())
        installed().resolve("poisoner", reference).build().craft(self.train, run)
        images = len(self.train) * sizes.attack_steps
        notes = self.beside_peak(Passes(attacked=images), watch.seconds)
        return Measured(watch.seconds, images, sizes.attack_steps, notes)


class Plain(_Data):
    @cached_property
    def _model(self) -> torch.nn.Module:
        return network(self.sizes).to(self.device)

    @cached_property
    def _normalization(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (values.view(1, 3, 1, 1).to(self.device) for values in self.statistics)
        return mean, std

    def check(self, draws: Any) -> Evidence:
        x, y = sample(self)
        x = x.double()
        random = torch.from_numpy(draws).to(self.device).double()
        mean, std = (values.double() for values in self._normalization)
        x.requires_grad_()
        shifts = (2 * random[:, :2] - 1) * REACH * self.sizes.side
        seen = plain_advpoison.view((x - mean) / std, shifts, random[:, 2] >= 0.5)
        loss = F.cross_entropy(self._model.double().eval()(seen), y)
        loss.backward()
        self._model.float()
        return Evidence({"view": array(seen * std + mean), "loss": array(loss), "gradient": array(x.grad)})

    @cached_property
    def _fastest_loader(self) -> tuple[int, Any]:
        stored = plain_images.Images(self.train.images, self.train.known_labels, plain_images.to_tensor())
        return plain_images.fastest(
            lambda workers: plain_images.loader(
                stored, self.sizes.attacked, shuffle=False, workers=workers, device=self.device
            ),
            lambda batches: self._steps(batches, 1),
            self.sizes.most_workers,
        )

    def _steps(self, batches: Any, steps: int) -> int:
        noise = torch.zeros(self.train.images.shape)
        targets = (torch.from_numpy(self.train.known_labels.copy()) + 1) % CLASSES
        mean, std = self._normalization
        return sum(
            plain_advpoison.step_all(
                self._model,
                batches,
                noise,
                targets,
                self.device,
                mean=mean,
                std=std,
                radius=RADIUS,
                step=STEP * RADIUS,
                reach=REACH * self.sizes.side,
            )
            for _ in range(steps)
        )

    def measure(self) -> Measured:
        workers, batches = self._fastest_loader
        started = self.clock()
        updates = self._steps(batches, self.sizes.attack_steps)
        images = len(self.train) * self.sizes.attack_steps
        return Measured(self.clock() - started, images, updates, {"workers": workers})
