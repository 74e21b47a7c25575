"""Numbers of every record: which images and labels they come from."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_components as tiny
import torch

from ucbench.crafting.release import materialise
from ucbench.matrix.matrix import Request, expand
from ucbench.metrics.features import cosine_gap
from ucbench.metrics.probes import guess_accuracy, linear_probe
from ucbench.running.evaluate import evaluate
from ucbench.running.sets import release_of
from ucbench.running.stored_victims import keep, restored
from ucbench.running.tasks import task_of
from ucbench.store.keys import derive_seed


class Case:
    """A cell that is done: half of the images have large changes, and the exploiter's first class is two of ours.

    Attributes:
        metrics: of its record.
        clean, published, test: training images before and after the craft, and test images.
        rows: the published images with changes.
        own, test_own: labels of the data set.
        labels: the exploiter's labels of training images.
    """

    def __init__(self, home) -> None:
        registry = tiny.registry()
        axes = Request(
            datasets=["spots:per_class=30"], poisoners=["stripes"], victims=["tiny:width=2,epochs=10,lr=0.2"],
            labelings=["pairs"], mixtures=[0.5], epsilons=[200.0],
        )  # fmt: skip
        session, cell = tiny.session(home, registry), expand(axes, registry)[-1]
        result, task = evaluate(cell, session), task_of(cell, session)
        keep(result.trained, task, session)
        self.metrics = result.body["metrics"]
        data, self.rows = session.data(cell), session.protected(cell).indices
        self.release = release_of(cell, session)
        self.clean, self.test = data.train.images, data.test.images
        self.published = self.clean.copy()
        self.published[self.rows] = materialise(self.clean[self.rows], self.release.changes, self.release.index)
        self.own, self.test_own = data.train.known_labels, data.test.known_labels
        self.labels = np.maximum(self.own - 1, 0)
        self.guess_seed = derive_seed("train", cell.train_seed, "guess") & ((1 << 63) - 1)
        with restored(task, session) as (trained, _):
            self.model = trained.model.model

    @torch.no_grad()
    def features(self, images: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(images.copy()).float() / 255
        return self.model.model[:-1]((x - self.model.mean) / self.model.std)

    @torch.no_grad()
    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        guessed = self.model.model[-1](self.features(images)).argmax(1).numpy()
        return 100 * float((guessed == labels).mean())

    def gap(self, images: np.ndarray, labels: np.ndarray) -> float:
        return cosine_gap(self.features(images), torch.from_numpy(labels.copy()))

    def guessed(self, labels: np.ndarray) -> float:
        return guess_accuracy(self.release.changes, self.release.index, labels, self.guess_seed)

    def probed(self, images: np.ndarray, labels: np.ndarray, test_labels: np.ndarray) -> float:
        return linear_probe(self.features(images).numpy(), labels, self.features(self.test).numpy(), test_labels)


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("store"))


def check(found: float, expected: float, *others: float) -> None:
    """``found`` is as expected, and would not be from other images or labels."""
    assert not any(other == pytest.approx(expected, abs=0.1 * abs(expected)) for other in others)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "value"), [("train_accuracy", Case.accuracy), ("cosine_gap", Case.gap)])
def test_numbers_of_the_training_set_are_of_published_images_under_the_exploiters_labels(case, name, value):
    others = [value(case, case.clean, case.labels), value(case, case.published, case.own)]
    check(case.metrics[name], value(case, case.published, case.labels), *others)


def test_guess_accuracy_is_of_the_exploiters_labels_of_the_protected_images(case):
    others = [case.guessed(case.own[case.rows]), case.guessed(case.labels[: len(case.rows)])]
    check(case.metrics["guess_accuracy"], case.guessed(case.labels[case.rows]), *others)


def test_linear_probe_is_fitted_on_clean_images_and_scored_under_the_labels_of_the_data_set(case):
    others = [
        case.probed(case.published, case.own, case.test_own),
        case.probed(case.clean, case.labels, np.maximum(case.test_own - 1, 0)),
    ]
    check(case.metrics["linear_probe"], case.probed(case.clean, case.own, case.test_own), *others)
