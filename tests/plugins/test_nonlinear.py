"""The search for transformations: each of them, and which ones it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from ucbench.testing import make_run, sample_images
from ucbench_nonlinear import transformations
from ucbench_nonlinear.params import NAMES, SearchParams
from ucbench_nonlinear.search import NonlinearSearch, gain_of
from ucbench_nonlinear.transformations import TRANSFORMATIONS, transformed


def changed(name: str, pixels: np.ndarray) -> np.ndarray:
    return TRANSFORMATIONS[name](pixels, np.random.default_rng(0))


def test_every_named_transformation_keeps_type_and_shape_and_its_input():
    assert tuple(TRANSFORMATIONS) == NAMES
    images = sample_images(5, (10, 14)).images.copy()
    before = images.copy()
    for name in NAMES:
        out = changed(name, images)
        assert (out.dtype, out.shape) == (np.uint8, images.shape), name
        assert (out != images).any(), name
        np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", ["dilate", "erode", "median", "blur", "grey", "rotate", "shear"])
def test_flat_grey_image_stays_as_it_is(name):
    flat = np.full((2, 3, 9, 12), 77, np.uint8)
    np.testing.assert_array_equal(changed(name, flat), flat)


def test_dilation_brightens_and_erosion_darkens():
    images = sample_images(4).images
    assert (changed("dilate", images) >= images).all()
    assert (changed("erode", images) <= images).all()


@pytest.mark.parametrize(("name", "levels"), [("threshold", {0, 255}), ("posterize", {0, 85, 170, 255})])
def test_levels_that_are_left(name, levels):
    assert set(np.unique(changed(name, sample_images(8).images))) == levels


def test_rotation_turns_every_image_by_its_own_angle():
    images = np.repeat(sample_images(3, (16, 16)).images[1:2], 4, axis=0)
    out = changed("rotate", images)
    assert len(np.unique(out.reshape(4, -1), axis=0)) == 4


def test_search_keeps_what_restores_colours_and_leaves_the_rest():
    """Classes differ by brightness; the release is the negative."""
    rng = np.random.default_rng(0)
    clean = sample_images(150, (8, 8), 2)
    level = np.where(clean.known_labels == 1, 150, 100)[:, None, None, None]
    pixels = np.clip(level + rng.normal(0, 20, clean.images.shape), 30, 225)
    trusted = clean.with_images(pixels.astype(np.uint8))
    inverted = clean.with_images((255 - pixels).astype(np.uint8))
    run = make_run(stage="prepare", trusted=trusted)
    params = SearchParams(candidates=("blur", "solarize"), epochs=3)
    prepared = NonlinearSearch(params).prepare(inverted, run)
    assert "solarize" in run.notes["kept"]
    assert run.notes["trials"][0][1] < max(accuracy for _, accuracy, _ in run.notes["trials"])
    assert (prepared.images != inverted.images).any()


def test_gain_has_the_standard_error_of_paired_images():
    before, after = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool), np.array([0, 1, 1, 1, 1, 0, 0, 0], bool)
    assert gain_of(before, after) == pytest.approx((25, 100 * ((4 / 8 - 1 / 16) / 8) ** 0.5))
    assert gain_of(after, after) == (0, 0)


@pytest.mark.parametrize(("right", "kept"), [(8, ["blur"]), (3, [])])
def test_search_keeps_a_gain_only_from_two_standard_errors(monkeypatch, right, kept):
    """Of 200 trusted images, 8 more make a gain of 4 points and 2.9 errors, 3 more one of 1.5 and 1.7."""
    found = iter([np.zeros(200, bool), np.arange(200) < right])
    monkeypatch.setattr(NonlinearSearch, "_correct", lambda self, images, run: next(found))
    run = make_run(stage="prepare", trusted=sample_images(200))
    NonlinearSearch(SearchParams(candidates=("blur",))).prepare(sample_images(), run)
    assert run.notes["kept"] == kept


@pytest.mark.parametrize("name", NAMES)
def test_images_are_transformed_the_same_in_blocks(monkeypatch, name):
    images = sample_images(5, (10, 14)).images
    monkeypatch.setattr(transformations, "_TOGETHER", 2 * images[0].size)
    np.testing.assert_array_equal(transformed(name, images, np.random.default_rng(0)), changed(name, images))


def test_search_leaves_the_set_alone_where_nothing_helps():
    train = sample_images(30, (8, 8))
    params = SearchParams(candidates=("blur",), epochs=1, gain=200)
    prepared = NonlinearSearch(params).prepare(train, make_run(stage="prepare", trusted=train))
    np.testing.assert_array_equal(prepared.images, train.images)


def test_unknown_transformation_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"no transformation 'dilat'. Did you mean 'dilate'"):
        SearchParams(candidates=("dilat",))
