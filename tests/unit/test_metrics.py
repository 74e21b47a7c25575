"""What is measured of victims and releases, against values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.references import Positive, Sham
from ucbench.crafting.release import Release, make_release
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.metrics.accuracy import accuracy, confusion
from ucbench.metrics.accuracy import test_metrics as metrics_of
from ucbench.metrics.clusters import cluster_diagnostics
from ucbench.metrics.probes import guess_accuracy, linear_guesses, linear_probe
from ucbench.plugins.builtin_params import PositiveParams
from ucbench.plugins.params import Params
from ucbench.testing import make_run, sample_images
from ucbench.testing.samples import NUMERICS
from ucbench.training.determinism import deterministic

LINF = Budget("linf", 8)


def guess_of(release: Release, of_images: np.ndarray, **options) -> float | None:
    return guess_accuracy(release.changes, release.index, of_images, **options)


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_confusion_has_true_rows_and_predicted_columns():
    table = confusion(labels(1, 1, 0, 2), labels(0, 0, 0, 2), 3)
    assert table.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_accuracies_equal_hand_computed_values():
    true, predicted = labels(0, 0, 0, 0, 1, 1, 2, 2), labels(0, 0, 0, 1, 1, 0, 0, 0)
    found = metrics_of(predicted, true, 3)
    assert found["test_accuracy"] == accuracy(predicted, true) == 50
    assert found["balanced_accuracy"] == pytest.approx(100 * (3 / 4 + 1 / 2 + 0) / 3)
    assert found["chance"] == 50
    # Counts [3 1 0], [1 1 0], [2 0 0]: no permutation collects more than 3 + 1 of the 8.
    assert found["matched_accuracy"] == 50


def test_matched_accuracy_is_full_for_shifted_labels():
    true = np.arange(50, dtype=np.int64) % 10
    found = metrics_of((true + 1) % 10, true, 10)
    assert found["test_accuracy"] == found["balanced_accuracy"] == 0
    assert found["matched_accuracy"] == 100


def test_constant_prediction_has_matched_accuracy_of_the_largest_class():
    true = labels(0, 1, 1, 1, 2)
    found = metrics_of(np.zeros_like(true), true, 3)
    assert found["test_accuracy"] == 20
    assert found["matched_accuracy"] == found["chance"] == 60


def test_accuracies_skip_classes_without_test_images():
    assert metrics_of(labels(0, 3), labels(0, 3), 5)["balanced_accuracy"] == 100


def of(component: object, train: ImageSet, seed: int = 0) -> Release:
    return make_release(component.craft(train, make_run(seed, budget=LINF)), train, LINF)


def test_guess_accuracy_is_full_for_class_wise_patterns():
    train = sample_images(400, (8, 8), classes=4)
    assert guess_of(of(Positive(PositiveParams()), train), train.known_labels, seed=0) == 100


def test_guess_accuracy_is_chance_for_noise():
    for size, count in (((4, 4), 600), ((16, 16), 600)):
        train = sample_images(count, size, classes=4)
        assert 10 < guess_of(of(Sham(Params()), train), train.known_labels, seed=0) < 40


def test_guess_accuracy_is_scored_on_held_out_images():
    """Every image its own random pattern: a fit would know all of them by heart."""
    train = sample_images(60, (16, 16), classes=4)
    assert guess_of(of(Sham(Params()), train), train.known_labels, seed=0) < 70


def test_guess_accuracy_follows_the_groups_of_the_pattern():
    train = sample_images(400, (8, 8), classes=4)
    groups = np.arange(400, dtype=np.int64) % 2
    delta = np.random.default_rng(0).choice(np.float32([-8 / 255, 8 / 255]), (2, 3, 8, 8))
    release = make_release(Perturbation(delta, groups), train, LINF)
    assert guess_accuracy(release.changes, release.index, groups, seed=0) == 100
    assert guess_accuracy(release.changes, release.index, np.random.default_rng(1).integers(0, 4, 400), seed=0) < 45


def test_guess_accuracy_depends_on_its_seed_and_image_limit():
    train = sample_images(300, (4, 4), classes=4)
    release = of(Sham(Params()), train)

    def guessed(seed: int, **limit: int) -> float | None:
        return guess_accuracy(release.changes, release.index, train.known_labels, seed, **limit)

    assert guessed(5) == guessed(5)
    assert len({guessed(seed) for seed in range(4)}) > 1
    assert guessed(5, limit=10) in (0, 50, 100)  # two held out


def test_guess_accuracy_is_missing_for_a_single_image():
    train = sample_images(1, classes=1)
    assert guess_of(of(Sham(Params()), train), train.known_labels, seed=0) is None


@pytest.mark.parametrize("rows", [20, 200], ids=["dual", "primal"])
def test_linear_guesses_are_computed_by_the_threads_of_torch(monkeypatch, rows):
    used: list[int] = []
    solve = np.linalg.solve

    def solving(*given):
        used.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return solve(*given)

    monkeypatch.setattr(np.linalg, "solve", solving)
    train = np.random.default_rng(0).random((rows, 50), dtype=np.float32)
    with threadpool_limits(limits=2), deterministic(NUMERICS):
        linear_guesses(train, np.arange(rows) % 3, train, 3)
    assert set(used) == {NUMERICS.threads} == {1}


@pytest.mark.parametrize("rows", [20, 200], ids=["dual", "primal"])
def test_linear_guesses_are_those_of_ridge_regression_with_an_intercept(rows):
    """With a penalty of a thousandth of the mean squared length, that of the constant included."""
    rng = np.random.default_rng(0)
    # Directions of very different lengths: the short ones count as much as the penalty lets them.
    fitted, held_out = (rng.normal(size=(count, 50)) * np.geomspace(1, 1e-2, 50) for count in (rows, 400))
    labels = rng.choice(3, rows, p=(0.5, 0.3, 0.2))
    x, seen = (np.hstack([values, np.ones((len(values), 1))]) for values in (fitted, held_out))
    penalty = 1e-3 * np.square(x).sum(1).mean()
    weights = np.linalg.inv(x.T @ x + penalty * np.eye(51)) @ x.T @ np.eye(3)[labels]
    found = linear_guesses(fitted.astype(np.float32), labels, held_out.astype(np.float32), 3)
    assert (found == (seen @ weights).argmax(1)).mean() > 0.99


@pytest.mark.parametrize(
    ("index", "classes", "homogeneity", "completeness", "purity"),
    [
        (labels(0, 0, 1, 1), labels(1, 1, 0, 0), 1, 1, 1),
        (labels(0, 1, 2, 3), labels(0, 0, 1, 1), 1, 0.5, 1),
        (labels(0, 0, 0, 0), labels(0, 0, 1, 1), 0, 1, 1),
        (labels(0, 1, 0, 1), labels(0, 0, 1, 1), 0, 0, 0.5),
        (labels(0, 0, 1, 1), labels(0, 1, 2, 3), 0.5, 1, 1),
    ],
)
def test_cluster_scores_compare_clusters_with_classes(index, classes, homogeneity, completeness, purity):
    found = cluster_diagnostics(index, classes)
    assert found["groups"] == index.max() + 1
    assert found["homogeneity"] == pytest.approx(homogeneity, abs=1e-9)
    assert found["completeness"] == pytest.approx(completeness, abs=1e-9)
    assert found["relative_purity"] == pytest.approx(purity)
    groups, known = index.max() + 1, classes.max() + 1
    assert found["purity"] == pytest.approx(purity * min(1, groups / known))
    assert found["mutual_information"] == pytest.approx(homogeneity * math.log(classes.max() + 1))


def test_linear_probe_reads_informative_features_and_not_noise():
    rng = np.random.default_rng(0)
    true, scored = rng.integers(0, 4, 400), rng.integers(0, 4, 200)
    directions = 50 * rng.normal(size=(4, 9))

    def features(labels, share):
        return (share * directions[labels] + rng.normal(size=(len(labels), 9)) + 7).astype(np.float32)

    assert linear_probe(features(true, 1), true, features(scored, 1), scored) == 100
    assert linear_probe(features(true, 0), true, features(scored, 0), scored) < 40
    # A feature that never varied, of which nothing may be made, and a class that the probe was never shown.
    constant = np.hstack([features(true, 1), np.full((400, 1), 3, np.float32)])
    other = np.hstack([features(scored, 1), np.full((200, 1), 4, np.float32)])
    assert linear_probe(constant, true, other, scored) == 100
    assert linear_probe(features(true, 1), true, features(scored, 1), np.full(200, 9)) == 0
