"""The search for transformations (Hapuarachchi et al., arXiv 2406.02883)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ucbench import ImageSet, Recipe, seeded
from ucbench_nonlinear.transformations import transformed

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_nonlinear.params import SearchParams


class NonlinearSearch:
    """Try transformations one after the other, and keep each under which the images teach more.

    A small network learns from the transformed images, and its accuracy on the exploiter's clean images decides. Kept
    transformations add up. What no linear map can take out of the images may not survive a nonlinear one.

    A gain must also be two standard errors of the paired difference between both networks, since few trusted images
    measure accuracies roughly.

    The record notes ``kept`` (the transformations, in order) and ``trials``: for each, first without any, its name, its
    accuracy, and the gain's standard error, both in percent.
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
        best = self._correct(tried, run)
        advance(1)
        names: list[str] = []
        trials: list[list[str | float]] = [["", 100 * float(best.mean()), 0.0]]
        for _ in range(params.rounds):
            before = len(names)
            for name in params.candidates:
                changed = self._changed(tried, name, len(names), run)
                correct = self._correct(changed, run)
                gain, error = gain_of(best, correct)
                trials.append([name, 100 * float(correct.mean()), error])
                if gain >= max(params.gain, 2 * error):
                    best, tried = correct, changed
                    names.append(name)
                advance(1)
            if len(names) == before:
                break
        run.note("kept", names)
        run.note("trials", trials)
        for number, name in enumerate(names):
            train = self._changed(train, name, number, run)
        return train.with_labels(labels, train.classes)

    def _changed(self, images: ImageSet, name: str, number: int, run: DefenseRun) -> ImageSet:
        rng = np.random.default_rng(run.seed(f"transformation {number}"))
        return images.with_images(transformed(name, images.images, rng))

    def _correct(self, images: ImageSet, run: DefenseRun) -> NDArray[np.bool_]:
        """Which trusted images a network classifies that was trained on ``images``, from the same start every time."""
        with seeded(run.seed("network")):
            network = _network(len(images.classes))
        recipe = Recipe(epochs=self.params.epochs, lr=0.05, evaluate_every=self.params.epochs)
        model = run.engine.fit(network, images, recipe, seed=run.seed("order")).model
        correct: NDArray[np.bool_] = run.engine.predict(model, run.trusted) == run.trusted.known_labels
        return correct


def gain_of(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float]:
    """The rise of accuracy in percentage points on the same images ``[N]``, and its standard error."""
    differences = 100 * (after.astype(float) - before)
    return float(differences.mean()), float(differences.std() / len(differences) ** 0.5)


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
