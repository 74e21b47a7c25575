"""Detection from the release alone: near the top where a pattern follows the labels, near chance where none does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ucbench import ImageSet, MetricContext
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench_removal.detection import LIMIT, clipped_residuals, detector_auc, linear_separability

CLASSES = 4


def release(level: int, count: int = 400) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random smooth images whose classes carry a sign pattern of ``level`` each, and their classes."""
    rng = np.random.default_rng(0)
    pixels = ndimage.gaussian_filter(rng.standard_normal((count, 3, 12, 12)), (0, 0, 3, 3))
    pixels = 128 + 30 * pixels / pixels.std((1, 2, 3), keepdims=True)
    labels = rng.integers(0, CLASSES, count)
    pixels += (level * rng.choice([-1, 1], (CLASSES, *pixels.shape[1:])))[labels]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels


def seen(level: int, count: int = 400) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the classifiers see of such images, and their classes."""
    images, labels = release(level, count)
    return clipped_residuals(images), labels


def test_linear_separability_is_high_with_class_wise_patterns():
    assert linear_separability(*seen(8)) >= 99


def test_linear_separability_is_chance_without_patterns():
    assert linear_separability(*seen(0)) == pytest.approx(100 / CLASSES, abs=15)


def test_linear_separability_is_chance_for_unrelated_labels():
    values, labels = seen(8)
    assert linear_separability(values, np.random.default_rng(1).permutation(labels)) < 45


def test_detector_auc_is_high_only_with_patterns():
    assert detector_auc(*seen(8), seed=0) > 0.95
    assert detector_auc(*seen(0), seed=0) == pytest.approx(0.5, abs=0.12)


def test_detector_auc_leaves_out_absent_classes():
    values, labels = seen(8, count=60)
    labels = labels.copy()
    labels[0] = 9  # held out only
    assert 0.5 < detector_auc(values, labels, 0) <= 1
    assert detector_auc(values[:6], np.array([0, 1, 0, 1, 0, 1]), 0) is None


def measured(images: ImageSet) -> dict[str, float | None]:
    return installed().resolve("metric", "detection").build().compute(MetricContext(make_run(), published=images))


def test_detection_depends_on_the_seed_not_on_global_state():
    images = sample_images(60, (8, 8), classes=3, seed=2)
    np.random.seed(0)
    first = measured(images)
    np.random.seed(1)
    assert measured(images) == first


def test_detection_uses_at_most_limit_images():
    images = sample_images(LIMIT + 500, (4, 4), classes=3, seed=2)
    chosen = np.random.default_rng(make_run().seed("detection")).permutation(len(images))[:LIMIT]
    changed = np.zeros_like(images.images)
    changed[chosen] = images.images[chosen]
    values, labels = clipped_residuals(images.images[chosen]), images.known_labels[chosen]
    assert measured(images.with_images(changed))["linear"] == linear_separability(values, labels)
