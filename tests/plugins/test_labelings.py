"""Labelings a person makes: from the clean set, whatever was published."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images

CLEAN, TEST = sample_images(20, classes=4, name="shapes"), sample_images(9, classes=4, seed=1, name="test")


def published(seed: int) -> ImageSet:
    """Other pixels, and labels and label sets that nobody should believe."""
    noise = np.random.default_rng(seed).integers(0, 256, CLEAN.images.shape, dtype=np.uint8)
    wrong = np.random.default_rng(seed).integers(0, 2, 20)
    return dataclasses.replace(
        CLEAN, images=noise, labels=wrong, label_sets={"parity": LabelSet(1 - wrong, ("even", "odd"))}
    )


def apply(reference: str, given: ImageSet, clean: ImageSet = CLEAN, test: ImageSet = TEST) -> tuple[ImageSet, ImageSet]:
    return installed().resolve("labeling", reference).build().apply(clean, given, test, make_run(stage="labeling"))


def test_original_returns_the_labels_of_the_clean_sets():
    train, test = apply("original", published(0))
    np.testing.assert_array_equal(train.known_labels, CLEAN.known_labels)
    np.testing.assert_array_equal(test.known_labels, TEST.known_labels)
    assert train.classes == test.classes == CLEAN.classes


@pytest.mark.parametrize("reference", ["coarse:parity", "coarse:map=parity", "label-set:parity"])
def test_coarse_uses_the_named_label_set_for_training_and_test(reference):
    train, test = apply(reference, published(0))
    np.testing.assert_array_equal(train.known_labels, CLEAN.known_labels % 2)
    np.testing.assert_array_equal(test.known_labels, TEST.known_labels % 2)
    assert train.classes == test.classes == ("even", "odd")


@pytest.mark.parametrize("reference", ["original", "coarse:parity"])
def test_labelings_keep_published_pixels_and_ignore_them(reference):
    (one, one_test), (other, other_test) = (apply(reference, published(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one.images, published(0).images)
    np.testing.assert_array_equal(one_test.images, TEST.images)
    np.testing.assert_array_equal(one.known_labels, other.known_labels)
    np.testing.assert_array_equal(one_test.known_labels, other_test.known_labels)
