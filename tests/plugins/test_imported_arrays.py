"""How the array of an imported release is understood: its values, layout, kind and number of items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imported_releases import ANY, SHAPE, TRAIN, added, changes, crafted, npy, pngs, pt, published, refused, safetensors

from ucbench.data.budget import Budget
from ucbench.testing import sample_images
from ucbench_imported.params import ReleaseParams
from ucbench_imported.poisoner import ImportedRelease


@given(st.integers(0, 2**32), st.integers(1, 255), st.sampled_from(["levels", "unit", "images", "fractions"]))
@settings(max_examples=40)
def test_release_publishes_what_was_crafted_in_any_form(tmp_path_factory, seed, largest, form):
    folder, budget = tmp_path_factory.mktemp("release"), Budget("linf", largest)
    levels = changes(largest, seed)
    if form == "levels":
        array = levels
    elif form == "unit":
        array = (levels / np.float32(255)).astype(np.float32)
    elif form == "images":
        array = added(levels)
    else:
        noise = np.random.default_rng(seed).uniform(-0.49, 0.49, SHAPE)
        array = ((levels + noise) / 255).clip(-1, 1)
    np.testing.assert_array_equal(published(npy(folder, array), budget), added(levels))


def test_release_reads_floats_beyond_one_as_levels(tmp_path):
    path = npy(tmp_path, changes().astype(np.float32) + 0.3)
    release, run = crafted(path)
    np.testing.assert_array_equal(release.changes, changes())
    assert run.notes["scale"] == "levels"


def test_release_scale_option_overrides_detection(tmp_path):
    path = npy(tmp_path, changes(1).astype(np.float32))
    np.testing.assert_array_equal(crafted(path, scale="levels")[0].changes, changes(1))
    np.testing.assert_array_equal(crafted(path, ANY)[0].changes, 255 * changes(1))


def test_release_reads_images_as_floats_or_any_integers(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, SHAPE)
    for array in (images, images / 255, images.astype(np.float32), images.astype(np.uint16)):
        np.testing.assert_array_equal(published(npy(tmp_path, array), ANY, kind="pictures"), images)


def test_release_reads_perturbations_without_negative_values_on_request(tmp_path):
    levels = np.abs(changes())
    for array in (levels, levels.astype(np.uint8), levels / 255):
        np.testing.assert_array_equal(crafted(npy(tmp_path, array), kind="perturbations")[0].changes, levels)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint16])
def test_release_requires_kind_without_negative_values(dtype, tmp_path):
    path = npy(tmp_path, (TRAIN.images // 255).astype(dtype))
    refused(path, r"from 0 to 1, which may be images or perturbations\. Say kind=pictures or kind=perturbations")


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (changes(256), {}),
        (changes(300).astype(np.float32), {}),
        (changes(2).astype(np.float32), {"scale": "unit"}),
        (changes(2), {"kind": "pictures"}),
        (np.full(SHAPE, 256), {"kind": "pictures"}),
        (np.full(SHAPE, 255, np.float32), {"kind": "pictures", "scale": "unit"}),
    ],
)
def test_release_refuses_values_beyond_the_pixel_range(values, options, tmp_path):
    refused(npy(tmp_path, values), "it must lie within .*: correct kind= or scale=, or the file", **options)


def test_release_requires_layout_for_an_ambiguous_shape(tmp_path):
    train = sample_images(size=(3, 3))
    levels = changes(shape=train.images.shape)
    path = npy(tmp_path, levels)
    refused(path, r"\[13, 3, 3, 3\], read both ways\. Say layout=nchw or nhwc", train=train)
    np.testing.assert_array_equal(crafted(path, train=train, layout="nchw")[0].changes, levels)
    np.testing.assert_array_equal(crafted(path, train=train, layout="nhwc")[0].changes, levels.transpose(0, 3, 1, 2))


def test_release_refuses_options_that_do_not_apply_to_the_source(tmp_path):
    array, folder = npy(tmp_path, changes()), pngs(tmp_path, TRAIN.images)
    refused(array, "holds whole numbers, which are levels", scale="unit")
    refused(array, "Leave out key=delta", key="delta")
    refused(array, "which is not nhwc", layout="nhwc")
    for option in ({"key": "delta"}, {"scale": "unit"}, {"layout": "nchw"}, {"kind": "perturbations"}):
        refused(folder, f"Leave out {next(iter(option))}=", **option)


def test_release_of_one_perturbation_per_class_covers_unseen_images(tmp_path):
    levels = changes(shape=(3, *SHAPE[1:]))
    release, run = crafted(npy(tmp_path, levels))
    np.testing.assert_array_equal(release.changes, levels)
    np.testing.assert_array_equal(release.index, TRAIN.known_labels)
    unseen = sample_images(5, seed=1)
    component = ImportedRelease(ReleaseParams(path="x"))
    np.testing.assert_array_equal(
        component.assign(unseen.with_labels(None), unseen.known_labels, release.state, run), unseen.known_labels
    )
    assert component.assign(unseen, None, release.state, run) is None


def test_release_of_one_perturbation_per_image_assigns_none_to_unseen_images(tmp_path):
    release, run = crafted(npy(tmp_path, changes()))
    np.testing.assert_array_equal(release.index, np.arange(13))
    component = ImportedRelease(ReleaseParams(path="x"))
    assert component.assign(TRAIN, TRAIN.known_labels, release.state, run) is None


def test_release_of_equal_class_and_image_counts_is_one_per_image(tmp_path):
    train = sample_images(3)
    levels = changes(shape=train.images.shape)
    np.testing.assert_array_equal(published(npy(tmp_path, levels), train=train), added(levels, train))


def test_release_refuses_one_image_per_class(tmp_path):
    refused(npy(tmp_path, TRAIN.images[:3]), "3 images for 13 training images.* one for each training image")


@pytest.mark.parametrize("count", [1, 2, 4, 12, 14])
def test_release_refuses_any_other_count(count, tmp_path):
    path = npy(tmp_path, changes(shape=(count, *SHAPE[1:])))
    refused(path, rf"\[{count}, 3, 10, 14\], and sample has 13 images in 3 classes")
    refused(pngs(tmp_path, np.zeros((count, *SHAPE[1:]), np.uint8)), rf"\[{count}, 3, 10, 14\]")


@pytest.mark.parametrize(
    "shape", [(), (13,), (13, 3, 10), (13, 1, 10, 14), (13, 10, 14, 4), (13, 3, 0, 14), (0, 3, 10, 14)]
)
@pytest.mark.parametrize("save", [npy, safetensors, pt])
def test_release_refuses_other_shapes(shape, save, tmp_path):
    refused(save(tmp_path, np.zeros(shape, np.float32)), r"It must be \[N, 3, H, W\] or \[N, H, W, 3\]")


def test_release_of_another_image_size_names_both_sizes(tmp_path):
    refused(npy(tmp_path, changes(shape=(13, 3, 14, 10))), "is 14x10 pixels .* of sample are 10x14")
    refused(pngs(tmp_path, np.zeros((13, 3, 8, 8), np.uint8)), "is 8x8 pixels .* of sample are 10x14")
