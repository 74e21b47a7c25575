"""PIL, perturbation-induced linearisation (Liu et al., ICLR 2026, arXiv 2601.19967)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench import ImageSet, Perturbation, ResidentSet, UsageError, blocks, check_finite, cosine, seeded

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_pil.params import PILParams


class PIL:
    """Perturbations whose label a linear classifier of the clean images reads, and images that it no longer reads.

    A linear classifier W without bias learns the clean images. Then every perturbation takes signed descent steps, from
    a uniform start in the ball, on ::

        lambda CE(W delta, y) + (1 - lambda) KL(uniform || softmax(W (x - delta)))

    and the image becomes ``x - delta``. Deep networks trained on the result find the linear rule first.

    Deviations from the official code: shuffled batches of even size for the classifier, and none of the cut of a
    published image to [0, 1] is done here, since the core does it.
    """

    def __init__(self, params: PILParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes ``losses`` (the classifier's first and last pass) and ``read`` (shares of labels that the classifier reads
        in the clean images, in the perturbations alone, and in the perturbed images).

        Raises:
            UsageError: for a single class, of which nothing can be learned.
            DataError: without labels.
            DivergedError: if the classifier's loss is not finite.
        """
        if len(train.classes) == 1:
            raise UsageError("There is only one class. pil needs at least two.")
        weights = self._trained(train, run)
        labels = torch.from_numpy(train.known_labels.copy()).to(run.device)
        generator, radius = run.generator("start"), run.budget.radius
        delta = np.empty(train.images.shape, np.float32)
        read = torch.zeros(3, device=run.device)
        advance = run.progress("crafting", len(train))
        for rows in blocks(train.images.shape):
            x = torch.from_numpy(train.images[rows].copy()).to(run.device).float().div_(255.0)
            start = radius * (2 * torch.rand(x.shape, generator=generator).to(x.device) - 1)
            y, flat = labels[rows], x.flatten(1)
            drawn = self._descended(flat, start.flatten(1), y, weights, radius)
            read += torch.stack([(seen @ weights.T).argmax(1) == y for seen in (flat, drawn, flat - drawn)]).sum(1)
            delta[rows] = -drawn.reshape(x.shape).cpu().numpy()
            advance(len(x))
        run.note("read", dict(zip(("clean", "perturbation", "perturbed"), (read / len(train)).tolist(), strict=True)))
        return Perturbation(delta)

    def _trained(self, train: ImageSet, run: CraftRun) -> Tensor:
        """The weights ``[K, D]`` of a classifier of the flattened images in [0, 1]."""
        params, classes = self.params, len(train.classes)
        with seeded(run.seed("classifier")):
            sides = [train.images[0].size, *[classes] * params.layers]
            layers = [nn.Linear(size, classes, bias=False) for size in sides[:-1]]
            network = nn.Sequential(nn.Flatten(), *layers)
        stepper = run.engine.stepper(network, lr=params.lr, momentum=params.momentum, weight_decay=0.0)
        data, generator = ResidentSet(train, padding=0, flip=False, device=run.device), run.generator("passes")
        advance = run.progress("training the linear classifier", params.epochs)
        losses = []
        for epoch in range(params.epochs):
            rate = cosine(params.lr, 0.0, epoch, params.epochs)
            total = torch.zeros((), device=run.device)
            for x, labels in data.epoch(params.batch, generator):
                total += stepper.step(x, labels, rate) * len(x)
            losses.append(float(total) / len(train))
            check_finite(losses[-1], f"pil: the classifier diverged in pass {epoch + 1}")
            advance(1)
        run.note("losses", {"first": losses[0], "last": losses[-1]})
        weights = layers[0].weight.detach()
        for layer in layers[1:]:
            weights = layer.weight.detach() @ weights
        return weights

    def _descended(self, x: Tensor, delta: Tensor, labels: Tensor, weights: Tensor, radius: float) -> Tensor:
        """Perturbations ``[B, D]`` of flattened images after all steps from ``delta``."""
        for _ in range(self.params.steps):
            slope = gradient(x, delta, labels, weights, self.params.weight)
            delta = (delta - self.params.step * radius * slope.sign()).clamp(-radius, radius)
        return delta


def gradient(x: Tensor, delta: Tensor, labels: Tensor, weights: Tensor, weight: float) -> Tensor:
    """The gradient in ``delta`` of every image's objective, in closed form.

    Args:
        x: flattened images ``[B, D]``.
        delta: ``[B, D]``.
        labels: int64 ``[B]``.
        weights: ``[K, D]``.
        weight: lambda.

    Returns:
        ``[B, D]``.
    """
    scores = delta @ weights.T
    label = scores.softmax(1) - F.one_hot(labels, len(weights))
    image = (x @ weights.T - scores).softmax(1) - 1 / len(weights)
    return (weight * label - (1 - weight) * image) @ weights
