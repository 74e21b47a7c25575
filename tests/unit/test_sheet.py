"""Picture sheets: every image where it is expected, and the same bytes every time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.release import Release, make_release
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.export.sheet import image_sheet, write_sheet

GAP, MARGIN, HEAD = 4, 110, 48


def image_set(count: int = 30, side: int = 8, classes: int = 3) -> ImageSet:
    images = np.random.default_rng(0).integers(40, 200, (count, 3, side, side), dtype=np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % classes, tuple(map(str, range(classes))), name="noise")


def release(source: ImageSet, groups: int | None, epsilon: float = 8.0) -> Release:
    count = groups or len(source)
    signs = np.random.default_rng(1).choice(np.float32([-1, 1]), (count, *source.images.shape[1:]))
    index = None if groups is None else np.arange(len(source), dtype=np.int64) % groups
    return make_release(Perturbation(np.float32(epsilon / 255) * signs, index), source, Budget("linf", epsilon))


def panel(sheet: Image.Image, side: int, row: int, column: int, place: int) -> np.ndarray:
    """Pixels of one image of the sheet: place 0 the original, 1 the perturbation, 2 the release."""
    left = MARGIN + column * (3 * side + 2 * GAP + 4 * GAP) + place * (side + GAP)
    top = HEAD + row * (side + 3 * GAP)
    return np.asarray(sheet.crop((left, top, left + side, top + side)))


@pytest.mark.parametrize(
    ("count", "side", "groups", "rows", "columns", "drawn"),
    [
        (30, 8, None, 3, 4, 64),  # small images are enlarged by whole factors
        (30, 8, 5, 5, 4, 64),
        (60, 8, 12, 10, 4, 64),  # ten groups at most
        (6, 96, 3, 3, 2, 96),  # fewer images than places
        (30, 33, None, 3, 4, 66),
    ],
)
def test_sheet_has_one_row_per_group_of_enlarged_images(count, side, groups, rows, columns, drawn):
    source = image_set(count, side)
    sheet = image_sheet(source, release(source, groups), "title")
    assert sheet.size == (MARGIN + columns * (3 * drawn + 6 * GAP), HEAD + rows * (drawn + 3 * GAP))


def test_sheet_places_every_image():
    source = image_set(side=64)
    made = release(source, 5)
    sheet = image_sheet(source, made, "title")
    for row, column, image in ((0, 0, 0), (0, 3, 15), (2, 1, 7), (4, 2, 14)):
        original, amplified, published = (panel(sheet, 64, row, column, place).transpose(2, 0, 1) for place in range(3))
        np.testing.assert_array_equal(original, source.images[image])
        np.testing.assert_array_equal(published, source.images[image].astype(int) + made.changes[image % 5])
        # Full range: the largest change of the release is black or white, whatever its radius.
        np.testing.assert_array_equal(amplified, np.where(made.changes[image % 5] > 0, 254, 0))


def test_sheet_is_byte_identical_when_repeated(tmp_path):
    source = image_set()
    files = [
        write_sheet(tmp_path / name, image_set(), release(source, 5), "uc linf 8").read_bytes() for name in ("a", "b")
    ]
    assert files[0] == files[1]
    assert Image.open(io.BytesIO(files[0])).format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_sheet_shows_a_release_without_changes():
    source = image_set()
    nothing = make_release(
        Perturbation(np.zeros((1, 3, 8, 8), np.float32), np.zeros(30, np.int64)), source, Budget("linf", 8)
    )
    sheet = image_sheet(source, nothing, "clean")
    assert sheet.size[1] == HEAD + 64 + 3 * GAP
    assert set(np.unique(panel(sheet, 64, 0, 0, 1))) == {127}
