"""The search for transformations (Hapuarachchi et al., arXiv 2406.02883)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from ucbench import ImageSet, Recipe, seeded
from ucbench_nonlinear.transformations import TRANSFORMATIONS

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_nonlinear.params import SearchParams


class NonlinearSearch:
    """Try transformations one after the other, and keep each under which the images teach more.

    A small network learns from the transformed images, and its accuracy on the exploiter's clean images decides. Kept
    transformations add up. What no linear map can take out of the images may not survive a nonlinear one.

    The record notes ``kept`` (the transformations, in order) and ``accuracies`` (percent, by trial, first without any).
    """

    def __init__(self, params: SearchParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The whole set after the transformations that were kept.

        Raises:
            DataError: without labels.
        """
        params, labels = self.params, train.known_labels
        tried = train
        if len(train) > params.images:
            order = np.random.default_rng(run.seed("images")).permutation(len(train))[: params.images]
            tried = train.subset(np.sort(order))
        advance = run.progress("searching transformations", 1 + params.rounds * len(params.candidates))
        best = self._accuracy(tried, run)
        advance(1)
        kept: list[str] = []
        accuracies: list[list[str | float]] = [["", best]]
        for _ in range(params.rounds):
            before = len(kept)
            for name in params.candidates:
                changed = self._changed(tried, name, len(kept), run)
                accuracy = self._accuracy(changed, run)
                accuracies.append([name, accuracy])
                if accuracy >= best + params.gain:
                    best, tried = accuracy, changed
                    kept.append(name)
                advance(1)
            if len(kept) == before:
                break
        run.note("kept", kept)
        run.note("accuracies", accuracies)
        for number, name in enumerate(kept):
            train = self._changed(train, name, number, run)
        return train.with_labels(labels, train.classes)

    def _changed(self, images: ImageSet, name: str, number: int, run: DefenseRun) -> ImageSet:
        rng = np.random.default_rng(run.seed(f"transformation {number}"))
        return images.with_images(TRANSFORMATIONS[name](images.images, rng))

    def _accuracy(self, images: ImageSet, run: DefenseRun) -> float:
        """Accuracy on the trusted images, in percent, of a network trained on ``images``; the same start every time."""
        with seeded(run.seed("network")):
            network = _network(len(images.classes))
        recipe = Recipe(epochs=self.params.epochs, lr=0.05, evaluate_every=self.params.epochs)
        model = run.engine.fit(network, images, recipe, seed=run.seed("order")).model
        correct = run.engine.predict(model, run.trusted) == run.trusted.known_labels
        return 100 * float(correct.mean())


def _network(classes: int) -> nn.Module:
    def layer(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *layer(3, 16, 1),
        *layer(16, 32, 2),
        *layer(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )
