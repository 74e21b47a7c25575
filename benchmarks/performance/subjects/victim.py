"""An epoch of the victim: crop, flip, forward, backward, step."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from plain import images as plain_images
from plain import training as plain_training

from subjects.base import Evidence, Measured, Side, array, network, synthetic_images, victim
from subjects.peak import Passes
from ucbench.data.imageset import ImageSet
from ucbench.training.normalized import channel_statistics, normalized

PADDING_SHARE = 0.125


def sample(side: Side) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1] and labels on the device, for the check; off both ends, where sides cut at different times."""
    train = synthetic_images(side.sizes.checked, side.sizes.side, seed=1)
    x = 0.1 + 0.8 * torch.from_numpy(train.images.copy()).float().div(255)
    return x.to(side.device), torch.from_numpy(train.known_labels.copy()).to(side.device)


class _Data(Side):
    @cached_property
    def train(self) -> ImageSet:
        return synthetic_images(self.sizes.images, self.sizes.side)


class Fast(_Data):
    def check(self) -> tuple[Any, Evidence]:
        """Loss and gradients of one step, in double precision: batch norm over a small batch magnifies rounding."""
        recipe = victim(self.sizes).recipe
        wrapped = normalized(network(self.sizes), "data", self.train).double()
        stepper = self.engine.stepper(wrapped, lr=recipe.lr)
        x, y = sample(self)
        loss = stepper.step(x.double(), y)
        return None, Evidence({"loss": array(loss), **_gradients(wrapped)})

    def measure(self) -> Measured:
        """Seconds of the engine's training steps."""
        steps = []
        result = self.engine.fit(
            network(self.sizes), self.train, victim(self.sizes).recipe, seed=0, progress=steps.append
        )
        images = len(self.train)
        notes = self.beside_peak(Passes(trained=images), result.seconds)
        return Measured(result.seconds, images, sum(steps), {"loss": result.history[-1]["loss"], **notes})


class Plain(_Data):
    def check(self, inputs: None) -> Evidence:
        recipe = victim(self.sizes).recipe
        mean, std = channel_statistics(self.train)
        model = network(self.sizes).to(self.device).double()
        x, y = sample(self)
        optimizer = plain_training.sgd(model, recipe.lr, recipe.momentum, recipe.weight_decay)
        mean, std = (values.view(1, 3, 1, 1).to(self.device) for values in (mean, std))
        loss = plain_training.train_step(model, optimizer, (x.double() - mean) / std, y)
        return Evidence({"loss": loss, **_gradients(model)})

    @cached_property
    def _fastest_loader(self) -> tuple[int, Any]:
        mean, std = (values.tolist() for values in channel_statistics(self.train))
        side = self.sizes.side
        padding = round(PADDING_SHARE * side)
        transform = plain_images.augmenting(side, padding, flip=True, mean=mean, std=std)
        stored = plain_images.Images(self.train.images, self.train.known_labels, transform)
        return plain_images.fastest(
            lambda workers: plain_images.loader(
                stored, self.sizes.batch, shuffle=True, workers=workers, device=self.device
            ),
            self._epoch,
            self.sizes.most_workers,
        )

    def _epoch(self, batches: Any) -> tuple[float, float, int]:
        """When the steps began, the mean loss, and their number."""
        recipe = victim(self.sizes).recipe
        model = network(self.sizes).to(self.device)
        optimizer = plain_training.sgd(model, recipe.lr, recipe.momentum, recipe.weight_decay)
        return self.clock(), *plain_training.train_epoch(model, optimizer, batches, self.device)

    def measure(self) -> Measured:
        workers, batches = self._fastest_loader
        started, loss, steps = self._epoch(batches)
        return Measured(self.clock() - started, len(self.train), steps, {"workers": workers, "loss": loss})


def _gradients(model: torch.nn.Module) -> dict[str, Any]:
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    return {"first gradient": array(weights[0].grad), "last gradient": array(weights[-1].grad)}
