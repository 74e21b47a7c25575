"""Contrastive training of an encoder: the loop that the exploiter and the surrogate share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ucbench import ImageSet, UsageError
from ucbench.training import DivergedError, seeded
from ucbench.training.batches import ResidentSet, split_evenly
from ucbench.training.normalized import Normalized, normalized
from ucbench.training.schedules import learning_rate
from ucbench_simclr.encoder import Projector, features_of, resnet18
from ucbench_simclr.objective import alignment, nt_xent, uniformity
from ucbench_simclr.views import Views

if TYPE_CHECKING:
    from ucbench.training.context import Run
    from ucbench_simclr.params import EncoderParams

#: Pictures on which alignment and uniformity are measured, at most.
MEASURED = 1000


def pretrain(train: ImageSet, params: EncoderParams, run: Run) -> Normalized:
    """Train an encoder on ``train``, whose labels are not read; images in [0, 1] to features ``[B, 8 * width]``.

    The encoder comes back in eval mode and frozen, without its head. Loss of the first and of the last pass, and
    alignment and uniformity of the features of two views of (at most :data:`MEASURED`) pictures go into the record.

    Deviations from the paper: SGD with momentum and coupled decay of all weights where it has LARS, which batches of
    thousands call for and these do not; pictures are normalised by their channels' mean and deviation.

    Raises:
        UsageError: for a single image, which there is nothing to tell from.
        DivergedError: at the end of a pass whose mean loss is not finite.
    """
    if len(train) < 2:
        raise UsageError(f"Contrastive learning tells images from each other: it takes 2, and there is {len(train)}.")
    network = _fresh(train, params, run)
    stepper = run.engine.stepper(network, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    # The engine's sets want labels; these say nothing.
    blind = train.with_labels(None).with_labels(np.zeros(len(train), np.int64), ("image",))
    data = ResidentSet(blind, padding=0, flip=False, device=run.device)
    views = Views(train.size, flip=train.flip, crop=params.crop, strength=params.strength)
    generator, recipe = run.generator("views"), params.recipe
    steps = split_evenly(len(train), params.batch)
    advance = run.progress("contrastive training", params.epochs * steps)
    losses = []
    for epoch in range(params.epochs):
        network.train()
        total = torch.zeros((), device=run.device)
        for number, (x, _) in enumerate(data.epoch(params.batch, generator)):
            pairs = torch.cat([views(x, generator), views(x, generator)])
            with run.engine.autocast():
                projections = network(pairs.contiguous(memory_format=torch.channels_last))
            loss = nt_xent(projections.float(), params.temperature)
            total += stepper.apply(loss, learning_rate(recipe, epoch * steps + number, steps)) * len(x)
            advance(1)
        losses.append(float(total) / len(train))  # the pass's only synchronisation with the device
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"Contrastive training diverged in pass {epoch + 1}: the mean loss is {losses[-1]}.")
    encoder = network.encoder.eval().requires_grad_(False)
    run.note("contrastive_loss", {"first": losses[0], "last": losses[-1]})
    _measure(encoder, train, views, run)
    return encoder


def _fresh(train: ImageSet, params: EncoderParams, run: Run) -> Projector:
    with seeded(run.seed("encoder")):
        encoder = normalized(resnet18(params.width, train.size), "data", train)
        return Projector(encoder, 8 * params.width, params.projection)


def _measure(encoder: Normalized, train: ImageSet, views: Views, run: Run) -> None:
    generator = run.generator("measured")
    chosen = train.subset(torch.randperm(len(train), generator=generator)[:MEASURED].numpy())

    def view(x: Tensor) -> Tensor:
        return views(x, generator)

    first, second = (features_of(encoder, chosen, run.engine, view) for _ in range(2))
    run.note("alignment", alignment(first, second))
    run.note("uniformity", (uniformity(first) + uniformity(second)) / 2)
