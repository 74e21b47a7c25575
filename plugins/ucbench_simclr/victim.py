"""SimCLR as an exploiter, who does not need the release's labels (Chen et al., ICML 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import ImageSet, Recipe, UsageError, as_double, learning_rate, seeded, split_evenly
from ucbench_simclr.pretraining import features_of, pretrain

if TYPE_CHECKING:
    from ucbench import DefenseRun, Run
    from ucbench_simclr.params import SimCLRParams

#: Deviation, as a share of its largest value, up to which a feature counts as constant (rounding varies it).
CONSTANT = 1e-5


class SimCLR:
    """Trains an encoder on the release without labels, then a linear probe on the trusted set.

    The probe sees the trusted images as they are, without augmentation, as in the published evaluation.
    """

    def __init__(self, params: SimCLRParams) -> None:
        self.params = params

    def fit(self, train: ImageSet, trusted: ImageSet | None, run: DefenseRun) -> None:
        """Train on the images of ``train``, and on images and labels of ``trusted``, whose classes it takes over.

        Raises:
            UsageError: without a trusted set, or for a release of one image.
            DataError: if the trusted set has no labels.
            DivergedError: if the contrastive loss is not finite.
        """
        if trusted is None or not len(trusted):
            raise UsageError("SimCLR learns classes from clean labelled images: grant some by --trusted N.")
        labels = torch.from_numpy(trusted.known_labels.copy()).to(run.device)
        self._engine = run.engine
        self._encoder = pretrain(train, self.params, run)
        features = features_of(self._encoder, trusted, run.engine)
        self._probe = fit_probe(features, labels, len(trusted.classes), self.params.probe_recipe, run)
        right = self._probe.predict(features) == labels
        run.note("probe_accuracy", 100 * float(as_double(right).mean()))

    def predict(self, images: ImageSet) -> NDArray[np.int64]:
        """The class ``[N]`` of every image, in the trusted set's numbering."""
        return self._probe.predict(features_of(self._encoder, images, self._engine)).cpu().numpy()


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of standardised features.

    Attributes:
        mean: ``[D]``, of every feature over what the probe was fitted on.
        scale: ``[D]``, its inverse deviation over the root of D; 0 for a feature that was constant.
        layer: standardised features ``[B, D]`` to logits ``[B, K]``.
    """

    mean: Tensor
    scale: Tensor
    layer: nn.Linear

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """The class ``[B]`` of features ``[B, D]``."""
        return self.logits(features).argmax(1)

    def logits(self, features: Tensor) -> Tensor:
        """Features ``[B, D]`` to logits ``[B, K]``."""
        logits: Tensor = self.layer((features - self.mean) * self.scale)
        return logits


def fit_probe(features: Tensor, labels: Tensor, classes: int, recipe: Recipe, run: Run) -> LinearProbe:
    """Fit a probe on features float32 ``[N, D]`` and labels int64 ``[N]`` in ``0..classes-1``, on ``run.device``.

    SGD with momentum 0.9 and without decay. Features are standardised and divided by the root of their number: their
    mean squared length is then 1, whatever the encoder, and the curvature of the loss at most 1/2, so that a rate of
    1.0 is stable. Weights start at 0, the loss being convex.
    """
    deviation = features.std(0, correction=0)
    varies = deviation > CONSTANT * features.abs().amax(0)
    scale = torch.where(varies, 1 / deviation.where(varies, 1.0), 0.0) / features.shape[1] ** 0.5
    with seeded(0):  # weights that are drawn and at once overwritten
        layer = nn.Linear(features.shape[1], classes, device=features.device)
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    probe = LinearProbe(features.mean(0), scale, layer)
    stepper = run.engine.stepper(layer, lr=recipe.lr, momentum=0.9, weight_decay=0.0)
    generator = run.generator("probe")
    steps = split_evenly(len(features), recipe.batch)
    advance = run.progress("linear probe", recipe.epochs)
    for epoch in range(recipe.epochs):
        rate = learning_rate(recipe, epoch * steps, steps)
        for index in torch.randperm(len(features), generator=generator).to(features.device).tensor_split(steps):
            stepper.apply(F.cross_entropy(probe.logits(features[index]), labels[index]), rate)
        advance(1)
    layer.requires_grad_(False)
    return probe
