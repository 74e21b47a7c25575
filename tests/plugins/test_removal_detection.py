"""Detection from the release alone: near the top where a pattern follows the labels, near chance where none does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ucbench import MetricContext
from ucbench.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench_removal.detection import detector_auc, linear_separability

CLASSES = 4


def release(level: int, count: int = 400) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random smooth pictures whose classes carry a sign pattern of ``level`` each, and their classes."""
    rng = np.random.default_rng(0)
    pixels = ndimage.gaussian_filter(rng.standard_normal((count, 3, 12, 12)), (0, 0, 3, 3))
    pixels = 128 + 30 * pixels / pixels.std((1, 2, 3), keepdims=True)
    labels = rng.integers(0, CLASSES, count)
    pixels += (level * rng.choice([-1, 1], (CLASSES, *pixels.shape[1:])))[labels]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels


def test_a_class_wise_pattern_is_separable():
    assert linear_separability(*release(8), seed=0) >= 99


def test_nothing_is_separable_where_there_is_no_pattern():
    assert linear_separability(*release(0), seed=0) == pytest.approx(100 / CLASSES, abs=15)


def test_a_pattern_is_no_sign_where_the_labels_are_others():
    images, labels = release(8)
    assert linear_separability(images, np.random.default_rng(1).permutation(labels), seed=0) < 45


@pytest.mark.parametrize("of", ["residuals", "pixels"])
def test_the_detector_tells_a_pattern_from_none(of):
    assert detector_auc(*release(8), seed=0, of=of) > 0.95
    assert detector_auc(*release(0), seed=0, of=of) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("measure", [linear_separability, detector_auc])
def test_the_seed_decides_and_the_global_generator_does_not(measure):
    images, labels = release(2, count=150)
    kept = images.copy()
    np.random.seed(0)
    first = measure(images, labels, 3)
    np.random.seed(1)
    assert measure(images, labels, 3) == first
    np.testing.assert_array_equal(images, kept)


def test_only_so_many_images_are_used():
    images, labels = release(8)
    within = np.random.default_rng(0).permutation(len(labels))[:100]
    outside = np.setdiff1d(np.arange(len(labels)), within)
    changed = images.copy()
    changed[outside] = 0
    assert linear_separability(changed, labels, 0, limit=100) == linear_separability(images, labels, 0, limit=100)


def test_a_class_that_is_nowhere_fitted_or_scored_is_left_out():
    images, labels = release(8, count=60)
    labels = labels.copy()
    labels[np.random.default_rng(0).permutation(60)[0]] = 9  # held out only
    assert 0.5 < detector_auc(images, labels, 0) <= 1
    assert np.isnan(detector_auc(images[:6], np.array([0, 1, 0, 1, 0, 1]), 0))


def test_as_a_metric_it_measures_what_was_published():
    images = sample_images(60, (8, 8), classes=3, seed=2)
    run = make_run(stage="metric")
    found = installed().resolve("metric", "detection").build().compute(MetricContext(run=run, published=images))
    seed = run.seed("detection")
    assert found == {
        "linear": linear_separability(images.images, images.known_labels, seed),
        "auc": detector_auc(images.images, images.known_labels, seed),
    }
