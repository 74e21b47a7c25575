"""An imported release keeps its budget in every norm, or is refused with the budget it needs."""

from __future__ import annotations

import numpy as np
import pytest
from imported_releases import ANY, SHAPE, TRAIN, added, changes, crafted, npy, pngs, published, refused

from ucbench.data.budget import Budget, sizes
from ucbench.testing import sample_images
from ucbench_imported.params import ReleaseParams


def test_release_beyond_the_budget_is_refused_with_the_epsilon_it_needs(tmp_path):
    path = npy(tmp_path, changes(12))
    refused(path, r"perturbations, is 12 levels \(linf\), beyond the budget of linf 8\..*--epsilon 12 or norm=unb")
    np.testing.assert_array_equal(published(path, Budget("linf", 12)), added(changes(12)))
    np.testing.assert_array_equal(published(path, ANY), added(changes(12)))


def test_release_with_one_value_beyond_the_budget_is_refused(tmp_path):
    levels = changes()
    levels[7, 1, 4, 4] = -9
    refused(npy(tmp_path, levels), "is 9 levels")


def test_release_of_images_beyond_the_budget_is_refused(tmp_path):
    images = TRAIN.images.copy()
    images[0] = 9  # was black
    refused(npy(tmp_path, images), "read as pictures, is 9 levels.*--epsilon 9")


def test_release_rounds_towards_zero_to_keep_a_fractional_radius(tmp_path):
    values = np.full(SHAPE, 9.5)
    values[0, 0, 0, 0] = -9.5
    release, _ = crafted(npy(tmp_path, values), Budget("linf", 9.5), scale="levels")
    assert np.unique(np.abs(release.changes)).tolist() == [9]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_release_l2_of_full_length_is_rounded_within_the_budget(dtype, tmp_path):
    budget, train = Budget("l2", 1), sample_images(13, (32, 32))
    delta = np.random.default_rng(0).normal(size=train.images.shape)
    delta /= np.sqrt(np.square(delta).sum(axis=(1, 2, 3), keepdims=True))
    release, run = crafted(npy(tmp_path, delta.astype(dtype)), budget, train, norm="l2")
    assert sizes(np.rint(delta * 255).astype(np.int16), "l2").max() > 1
    assert 0.99 < run.notes["measured"]["l2_max"] <= 1
    assert np.abs(release.changes - delta * 255).max() < 1


def test_release_l2_beyond_the_budget_is_refused(tmp_path):
    delta = np.random.default_rng(0).normal(size=SHAPE)
    delta *= 1.001 / np.sqrt(np.square(delta).sum(axis=(1, 2, 3), keepdims=True))
    path = npy(tmp_path, delta)
    refused(path, r"is 1\.00\d* on the \[0, 1\] scale \(l2\), beyond .* l2 1\..*norm=unbounded", budget=Budget("l2", 1))


def test_release_never_rounds_whole_levels_to_fit(tmp_path):
    levels = np.zeros(SHAPE, np.float64)
    levels[:, 0, 0, :2] = -255, 1  # a length of 1 + 8e-6
    for array in (levels, levels / 255, levels.astype(np.int16)):
        refused(npy(tmp_path, array), r"is 1\.0001 on the", budget=Budget("l2", 1))


def test_release_l0_counts_pixels(tmp_path):
    levels = np.zeros(SHAPE, np.int16)
    levels[:, :, 3, 5] = -200, 100, 0
    np.testing.assert_array_equal(published(npy(tmp_path, levels), Budget("l0", 1)), added(levels))
    levels[4, 0, 0, 0] = 1
    refused(npy(tmp_path, levels), r"is 2 pixels \(l0\), beyond", budget=Budget("l0", 1))


def test_release_notes_describe_the_source(tmp_path):
    levels = np.zeros(SHAPE, np.int16)
    levels[3, :, 0, :2] = -4
    path = npy(tmp_path, levels)
    _, run = crafted(path)
    assert run.notes == {
        "imported": True,
        "source_kind": "perturbations",
        "scale": "levels",
        "file": "release.npy",
        "sha256": ReleaseParams(path=path).identity()["sha256"],
        "measured": {"linf_max": 4.0, "l2_max": pytest.approx(4 * 6**0.5 / 255), "l0_max": 2.0},
    }
    _, run = crafted(pngs(tmp_path, TRAIN.images))
    assert (run.notes["source_kind"], run.notes["file"]) == ("pictures", "images")
    assert run.notes["measured"] == {"linf_max": 0, "l2_max": 0, "l0_max": 0}
