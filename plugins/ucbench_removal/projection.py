"""Orthogonal projection (Sandoval-Segura et al., NeurIPS 2023, arXiv 2305.19254)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import DefensePipeline, ImageSet, Recipe, seeded
from ucbench_removal.subtraction import blocks

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_removal.params import ProjectionParams


class OrthogonalProjection:
    """Remove from every training image what a linear classifier of the release uses.

    Softmax regression without bias is fitted to the released pixels in [0, 1] (colour, no normalisation, no crop or
    flip) by SGD without momentum or decay; the span of its K weight vectors is projected out of every image.

    Test images are not projected. The rate of 0.1 is for 32 pixels.
    """

    augment: Callable[[Tensor, DefenseRun, torch.Generator], Tensor]
    mix: Callable[[Tensor, Tensor, DefenseRun, torch.Generator], tuple[Tensor, Tensor]]

    def __init__(self, params: ProjectionParams) -> None:
        self.params = params
        # The core asks a defense which stages it has.
        if not params.static:
            members = DefensePipeline([(str(member), member.build()) for member in params.members()])
            self.augment, self.mix = members.augment, members.mix

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The same set after the projection. Notes ``clipped`` and the classifier's ``linear_train_accuracy`` (%).

        Raises:
            DataError: without labels.
        """
        basis = span(self._weights(train, run))
        mean = np.zeros(basis.shape[1])
        if self.params.centre:
            mean = train.images.mean(0, dtype=np.float64).reshape(-1)
        images, clipped = project(train.images, basis, mean)
        run.note("clipped", clipped)
        return train.with_images(images)

    def _weights(self, train: ImageSet, run: DefenseRun) -> Tensor:
        """Weights ``[K, 3 * H * W]`` of the fitted classifier, including their random start, float32 on the CPU."""
        labels, recipe = train.known_labels, self._recipe(len(train))
        with seeded(run.seed("linear")):
            layer = nn.Linear(train.images[0].size, len(train.classes), bias=False)
        steps = recipe.epochs * math.ceil(len(train) / recipe.batch)
        fitted = run.engine.fit(
            nn.Sequential(nn.Flatten(), layer),
            train,
            recipe,
            seed=run.seed("order"),
            progress=run.progress("fitting a linear classifier to the release", steps),
        )
        correct = run.engine.predict(fitted.model, train) == labels
        run.note("linear_train_accuracy", 100 * float(correct.mean()))
        return layer.weight.detach().cpu()

    def _recipe(self, count: int) -> Recipe:
        params, epochs = self.params, self.params.epochs
        return Recipe(
            epochs=epochs,
            batch=min(params.batch, max(2, count // params.steps)),
            lr=params.lr,
            momentum=0,
            weight_decay=0,
            schedule="step",
            milestones=tuple(sorted({epochs // 2, epochs * 3 // 4} - {0})),
            crop=0,
            flip="never",
            normalize="none",
            evaluate_every=epochs,
        )


def span(weights: Tensor) -> NDArray[np.float64]:
    """An orthonormal basis, as rows ``[min(K, D), D]``, of what linearly independent ``weights`` ``[K, D]`` span."""
    basis, _ = torch.linalg.qr(weights.double().T)
    rows: NDArray[np.float64] = basis.T.numpy()
    return rows


def project(
    images: NDArray[np.uint8], basis: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], float]:
    """Images ``[N, 3, H, W]`` without the part of their difference to ``mean`` that lies in the span of ``basis``.

    Args:
        basis: orthonormal rows ``[R, 3 * H * W]``.
        mean: ``[3 * H * W]`` in 8-bit levels; 0 projects the images themselves.

    Returns:
        The images, rounded and clipped to 8 bits, and the share of values that had to be clipped.
    """
    projected, beyond = np.empty_like(images), 0
    for block in blocks(images):
        rows = images[block].reshape(len(images[block]), -1).astype(np.float64)
        left = np.rint(rows - ((rows - mean) @ basis.T) @ basis)
        beyond += int(((left < 0) | (left > 255)).sum())
        projected[block] = np.clip(left, 0, 255).astype(np.uint8).reshape(images[block].shape)
    return projected, beyond / max(1, images.size)
