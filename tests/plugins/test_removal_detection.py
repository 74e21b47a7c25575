"""Detection from the release alone: near the top where a pattern follows the labels, near chance where none does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ucbench import MetricContext
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench_removal.detection import detector_auc, linear_separability

CLASSES = 4


def release(level: int, count: int = 400) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random smooth images whose classes carry a sign pattern of ``level`` each, and their classes."""
    rng = np.random.default_rng(0)
    pixels = ndimage.gaussian_filter(rng.standard_normal((count, 3, 12, 12)), (0, 0, 3, 3))
    pixels = 128 + 30 * pixels / pixels.std((1, 2, 3), keepdims=True)
    labels = rng.integers(0, CLASSES, count)
    pixels += (level * rng.choice([-1, 1], (CLASSES, *pixels.shape[1:])))[labels]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels


def test_linear_separability_is_high_with_class_wise_patterns():
    assert linear_separability(*release(8), seed=0) >= 99


def test_linear_separability_is_chance_without_patterns():
    assert linear_separability(*release(0), seed=0) == pytest.approx(100 / CLASSES, abs=15)


def test_linear_separability_is_chance_for_unrelated_labels():
    images, labels = release(8)
    assert linear_separability(images, np.random.default_rng(1).permutation(labels), seed=0) < 45


@pytest.mark.parametrize("of", ["residuals", "pixels"])
def test_detector_auc_is_high_only_with_patterns(of):
    assert detector_auc(*release(8), seed=0, of=of) > 0.95
    assert detector_auc(*release(0), seed=0, of=of) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("measure", [linear_separability, detector_auc])
def test_detection_depends_on_the_seed_not_on_global_state(measure):
    images, labels = release(2, count=150)
    kept = images.copy()
    np.random.seed(0)
    first = measure(images, labels, 3)
    np.random.seed(1)
    assert measure(images, labels, 3) == first
    np.testing.assert_array_equal(images, kept)


def test_detection_uses_at_most_limit_images():
    images, labels = release(8)
    within = np.random.default_rng(0).permutation(len(labels))[:100]
    outside = np.setdiff1d(np.arange(len(labels)), within)
    changed = images.copy()
    changed[outside] = 0
    assert linear_separability(changed, labels, 0, limit=100) == linear_separability(images, labels, 0, limit=100)


def test_detector_auc_leaves_out_absent_classes():
    images, labels = release(8, count=60)
    labels = labels.copy()
    labels[np.random.default_rng(0).permutation(60)[0]] = 9  # held out only
    assert 0.5 < detector_auc(images, labels, 0) <= 1
    assert np.isnan(detector_auc(images[:6], np.array([0, 1, 0, 1, 0, 1]), 0))


def test_detection_metric_measures_the_published_set():
    images = sample_images(60, (8, 8), classes=3, seed=2)
    run = make_run(stage="metric")
    found = installed().resolve("metric", "detection").build().compute(MetricContext(run=run, published=images))
    seed = run.seed("detection")
    assert found == {
        "linear": linear_separability(images.images, images.known_labels, seed),
        "auc": detector_auc(images.images, images.known_labels, seed),
    }
