"""Image sheets: every image where it is expected, what the head says, and the same bytes every time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.release import Release, make_release
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.export.sheet import _rows, budget_text, image_sheet, write_sheet
from ucbench.results.sheets import SheetLayout, layout_of


def image_set(count: int = 30, side: int = 8, classes: int = 3) -> ImageSet:
    images = np.random.default_rng(0).integers(40, 200, (count, 3, side, side), dtype=np.uint8)
    names = ("airplane", "a class of a very long name that no margin holds", "cat")[:classes]
    return ImageSet(images, np.arange(count, dtype=np.int64) % classes, names, name="noise")


def release(source: ImageSet, groups: int | None, epsilon: float = 8.0) -> Release:
    count = groups or len(source)
    signs = np.random.default_rng(1).choice(np.float32([-1, 1]), (count, *source.images.shape[1:]))
    index = None if groups is None else np.arange(len(source), dtype=np.int64) % groups
    return make_release(Perturbation(np.float32(epsilon / 255) * signs, index), source, Budget("linf", epsilon))


def layout(source: ImageSet, made: Release) -> SheetLayout:
    rows = _rows(source, made)
    indices = [index for _, members in rows for index in members]
    count = len(rows) + (made.meta["budget"]["epsilon"] is not None)
    return layout_of(source.size, count, max(len(members) for _, members in rows), len(indices))


def pixels(sheet: Image.Image, corner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Pixels ``[3, H, W]`` of a part of the sheet."""
    left, top = corner
    return np.asarray(sheet.crop((left, top, left + size[1], top + size[0]))).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("count", "side", "groups", "rows", "columns", "drawn"),
    [
        (30, 8, None, 3, 4, 64),  # small images are enlarged by whole factors
        (30, 8, 5, 5, 4, 64),
        (60, 8, 12, 3, 4, 64),  # groups within classes are shown by class
        (60, 8, 13, 10, 4, 64),  # ten groups at most
        (6, 96, 3, 3, 2, 96),  # fewer images than places
        (30, 33, None, 3, 4, 66),
        (30, 224, None, 3, 2, 224),  # as many as the width holds
    ],
)
def test_sheet_has_one_row_per_group_of_enlarged_images_and_one_of_sham(count, side, groups, rows, columns, drawn):
    source = image_set(count, side)
    found = layout(source, release(source, groups))
    assert (found.rows, found.columns, found.size) == (rows + 1, columns, (drawn, drawn))
    assert image_sheet(source, release(source, groups), "title").size == found.extent


def test_sheet_places_every_image():
    source = image_set(side=64)
    made = release(source, 5)
    sheet, where = image_sheet(source, made, "title"), layout(source, made)
    for row, column, image in ((0, 0, 0), (0, 3, 15), (2, 1, 7), (4, 2, 14)):
        original, amplified, published = (
            pixels(sheet, where.triple(row, column, place), where.size) for place in range(3)
        )
        np.testing.assert_array_equal(original, source.images[image])
        np.testing.assert_array_equal(published, source.images[image].astype(int) + made.changes[image % 5])
        # Full range: the largest change of the release is black or white, whatever its radius.
        np.testing.assert_array_equal(amplified, np.where(made.changes[image % 5] > 0, 254, 0))


def test_strip_pixels_equal_the_originals_and_the_release_at_true_size():
    source = image_set()
    made = release(source, 5)
    sheet, where = image_sheet(source, made, "title"), layout(source, made)
    assert where.strip == 20
    for column in range(where.strip):
        image = column  # groups are 0 to 4 in turn, and the strip has one image of each group before the next
        np.testing.assert_array_equal(pixels(sheet, where.true_size(0, column), (8, 8)), source.images[image])
        published = source.images[image].astype(int) + made.changes[image % 5]
        np.testing.assert_array_equal(pixels(sheet, where.true_size(1, column), (8, 8)), published)


def test_sham_row_has_noise_of_the_same_budget_on_the_first_images():
    source = image_set(side=64)
    made = release(source, None, epsilon=16.0)
    sheet, where = image_sheet(source, made, "title"), layout(source, made)
    original, amplified, noisy = (
        pixels(sheet, where.triple(3, 0, place), where.size).astype(int) for place in range(3)
    )
    np.testing.assert_array_equal(original, source.images[0])
    assert np.abs(noisy - original).max() == 16
    assert len(np.unique(noisy - original)) == 33
    assert amplified.max() >= 254


def test_rows_are_named_by_class_or_by_group_across_classes():
    source = image_set()
    for groups, name in (
        (None, "cat, 10 images"),
        (1, "cat, 10 images"),
        (3, "cat, 10 images"),
        (5, "group 2, 6 images"),
    ):
        assert _rows(source, release(source, groups))[2][0] == name


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget("linf", 8), "Budget 8/255 (linf)"),
        (Budget("l2", 1), "Budget 1 (l2)"),
        (Budget("l0", 1), "Budget 1 pixel (l0)"),
        (Budget("unbounded", None), "Unbounded"),
    ],
)
def test_budget_is_stated_in_its_unit(budget, text):
    assert budget_text(budget) == text


def test_sheet_is_byte_identical_when_repeated(tmp_path):
    source = image_set()
    files = [
        write_sheet(tmp_path / name, image_set(), release(source, 5), "uc on x").read_bytes() for name in ("a", "b")
    ]
    assert files[0] == files[1]
    assert Image.open(io.BytesIO(files[0])).format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("budget", [Budget("linf", 8), Budget("l2", 1), Budget("l0", 1), Budget("unbounded", None)])
def test_sheet_shows_a_release_without_changes_of_any_budget(budget):
    source = image_set()
    nothing = make_release(Perturbation(np.zeros((1, 3, 8, 8), np.float32), np.zeros(30, np.int64)), source, budget)
    sheet = image_sheet(source, nothing, "nothing")
    where = layout(source, nothing)
    assert set(np.unique(pixels(sheet, where.triple(0, 0, 1), where.size))) == {127}
