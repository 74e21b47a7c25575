"""Contrastive training of an encoder, which the exploiter and the surrogate share: network, objective and loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import (
    ContrastiveViews,
    Engine,
    ImageSet,
    Normalized,
    ResidentSet,
    UsageError,
    as_double,
    check_finite,
    learning_rate,
    normalized,
    nt_xent,
    seeded,
    split_evenly,
)

if TYPE_CHECKING:
    from ucbench import Run
    from ucbench_simclr.params import EncoderParams

#: Images on which alignment and uniformity are measured, at most.
MEASURED = 1000


def resnet18(width: int, size: tuple[int, int]) -> nn.Module:
    """timm's ResNet-18 without classifier: normalised images ``[B, 3, H, W]`` to features ``[B, 8 * width]``.

    The stages have 1, 2, 4 and 8 times ``width`` channels. Up to :attr:`ucbench.ContrastiveViews.SMALL` pixels the stem
    is a 3x3 convolution of stride 1 without max-pool (appendix B.9), above it is ImageNet's. Weights are drawn from
    the global generator.
    """
    small = max(size) <= ContrastiveViews.SMALL
    kernel, stride = (3, 1) if small else (7, 2)
    # timm can scale only a stem of three convolutions; the single one takes its place.
    network: nn.Module = timm.create_model(
        "resnet18",
        num_classes=0,
        channels=tuple(width * times for times in (1, 2, 4, 8)),
        stem_type="deep",
        stem_width=width // 2,
        zero_init_last=False,
    )
    network.conv1 = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        network.maxpool = nn.Identity()
    return network


class Projector(nn.Module):
    """An encoder and the head that is thrown away after training.

    The head is the paper's, linear - ReLU - linear with as many hidden units as features, with batch norm after both
    linear layers as in the paper's code and in AUE's. (UC's code has none; AUE's has 2,048 hidden units.)

    Args:
        encoder: images ``[B, 3, H, W]`` in [0, 1] to ``[B, features]``.
        features: their number.
        dimensions: of the projections.
    """

    def __init__(self, encoder: Normalized, features: int, dimensions: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Linear(features, dimensions, bias=False),
            nn.BatchNorm1d(dimensions),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to projections ``[B, dimensions]``."""
        projections: Tensor = self.head(self.encoder(x))
        return projections


@torch.no_grad()
def features_of(
    encoder: nn.Module,
    images: ImageSet,
    engine: Engine,
    view: Callable[[Tensor], Tensor] | None = None,
    batch: int = 250,
) -> Tensor:
    """Features float32 ``[N, D]``, on the engine's device, of all images, or of what ``view`` makes of them."""
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(images.images[start : start + batch].copy()).to(engine.device)
        x = block.float().div_(255.0)
        if view is not None:
            x = view(x)
        with engine.autocast():
            parts.append(encoder(x.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(parts)


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of two views of an image, their features ``[N, D]`` at length 1; between 0 and 4.

    Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere, ICML 2020, arXiv 2005.10242, with alpha = 2. Smaller is better.
    """
    distances = F.normalize(as_double(first), dim=1) - F.normalize(as_double(second), dim=1)
    return float(distances.square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Logarithm of the mean of ``exp(-2 d^2)`` over pairs of images, their features ``[N, D]`` at length 1, N > 1.

    Wang and Isola (2020) with t = 2. Between -8 and 0, where all features point one way; smaller is more uniform.
    """
    distances = torch.pdist(F.normalize(as_double(features), dim=1))
    return float(distances.square().mul(-2).exp().mean().log())


def pretrain(train: ImageSet, params: EncoderParams, run: Run) -> Normalized:
    """Train an encoder on ``train``, whose labels are not read; images in [0, 1] to features ``[B, 8 * width]``.

    The encoder comes back in eval mode and frozen, without its head. Loss of the first and of the last pass, and
    alignment and uniformity of the features of two views of (at most :data:`MEASURED`) images go into the record.

    SGD trains all weights: the paper's LARS is for batches of thousands.

    Raises:
        UsageError: for a single image.
        DivergedError: at the end of a pass whose mean loss is not finite.
    """
    if len(train) < 2:
        raise UsageError(f"Contrastive learning compares images: it needs at least 2, and there is {len(train)}.")
    network = _fresh(train, params, run)
    stepper = run.engine.stepper(network, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    # ResidentSet needs labels; these carry no information.
    blind = train.with_labels(None).with_labels(np.zeros(len(train), np.int64), ("image",))
    data = ResidentSet(blind, padding=0, flip=False, device=run.device)
    views = ContrastiveViews(train.size, flip=train.flip, crop=params.crop, strength=params.strength)
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
        check_finite(losses[-1], f"Contrastive training diverged in pass {epoch + 1}")
    encoder = network.encoder.eval().requires_grad_(False)
    run.note("contrastive_loss", {"first": losses[0], "last": losses[-1]})
    _measure(encoder, train, views, run)
    return encoder


def _fresh(train: ImageSet, params: EncoderParams, run: Run) -> Projector:
    with seeded(run.seed("encoder")):
        encoder = normalized(resnet18(params.width, train.size), "data", train)
        return Projector(encoder, 8 * params.width, params.projection)


def _measure(encoder: Normalized, train: ImageSet, views: ContrastiveViews, run: Run) -> None:
    generator = run.generator("measured")
    measured = train.subset(torch.randperm(len(train), generator=generator)[:MEASURED].numpy())

    def view(x: Tensor) -> Tensor:
        return views(x, generator)

    first, second = (features_of(encoder, measured, run.engine, view) for _ in range(2))
    run.note("alignment", alignment(first, second))
    run.note("uniformity", (uniformity(first) + uniformity(second)) / 2)
