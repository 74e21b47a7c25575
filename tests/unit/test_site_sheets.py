"""Sheets of images on the site: found by release, read once, shown from their first image."""

from __future__ import annotations

import io

import numpy as np
import pytest
import site_records as made
from PIL import Image

from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.release import make_release
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.export.sheet import write_sheet
from ucbench.leaderboard import sheets
from ucbench.leaderboard.site import build_site


def test_head_of_a_sheet_is_read_once_for_all_its_cells(tmp_path, monkeypatch):
    cells = [made.record("uc", defense=defense, release="a" * 32) for defense in ("none", "jpeg", "cutout")]
    (tmp_path / f"uc-{'a' * 12}.png").write_bytes(made.png(600, 300))
    (tmp_path / f"uc-{'b' * 12}.png").write_bytes(made.png(600, 300))
    (tmp_path / f"lsp-{'c' * 12}.png").write_bytes(b"no image")
    read: list[tuple[str, int]] = []
    read_head = sheets.read_head
    monkeypatch.setattr(
        sheets, "read_head", lambda path, count: read.append((path.name, count)) or read_head(path, count)
    )
    monkeypatch.setattr(sheets, "read_regular", lambda path: pytest.fail(f"{path} is read whole"))
    lost = made.record("lsp", release="c" * 32)
    found = sheets.sheets_of([*cells, lost], tmp_path)
    assert found == {cell["cell"]: (tmp_path / f"uc-{'a' * 12}.png", 600, 300) for cell in cells}
    assert sorted(read) == [(f"lsp-{'c' * 12}.png", 24), (f"uc-{'a' * 12}.png", 24)]


@pytest.mark.parametrize("side", [28, 32, 48, 96, 224])
def test_thumbnail_has_two_rows_of_two_whole_images_of_any_size(tmp_path, side):
    record = made.record("uc")
    record["data"]["size"] = [side, side]
    levels = np.arange(20, 80, 10, dtype=np.uint8)  # every image is of one grey, and its release of the next
    images = np.broadcast_to(levels[:, None, None, None], (6, 3, side, side)).copy()
    source = ImageSet(images, np.arange(6, dtype=np.int64) % 2, ("a", "b"), name="greys")
    release = make_release(Perturbation(np.full(images.shape, 1 / 255, np.float32)), source, Budget("linf", 1.0))
    write_sheet(tmp_path / f"uc-{record['release'][:12]}.png", source, release, "uc on greys")

    data, width, height = sheets.thumbnail(sheets.sheets_of([record], tmp_path), [record])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.shape == (height, width, 3)
    # Original and release of the first image of class a; of the second of class b, at the other corner.
    assert [pixels[y, x].tolist() for y, x in ((2, 2), (-3, -3))] == [[20] * 3, [51] * 3]
    assert all((edge == 255).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))


def test_site_does_not_fetch_remote_images(tmp_path):
    """The sheet's name is made of the record's text, which might be a path."""
    stray = made.record("uc")
    stray["components"]["poisoner"]["name"] = "../stray"
    folder = made.write(tmp_path / "board", [stray], sheets=False)
    (folder / "sheets").mkdir()
    (folder / f"stray-{stray['release'][:12]}.png").write_bytes(made.png(1, 1))
    build_site(folder, folder / "site")
    assert not list((folder / "site").rglob("*.png"))
