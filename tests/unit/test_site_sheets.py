"""Sheets of images on the site: found by release, read once, shown from their first image."""

from __future__ import annotations

import pytest
import site_records as made

from ucbench.export import sheet
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


def test_thumbnails_begin_where_sheets_have_their_first_image():
    assert sheets._STARTS[0] == (sheet.MARGIN, sheet.HEAD)


def test_site_does_not_fetch_remote_images(tmp_path):
    """The sheet's name is made of the record's text, which might be a path."""
    stray = made.record("uc")
    stray["components"]["poisoner"]["name"] = "../stray"
    folder = made.write(tmp_path / "board", [stray], sheets=False)
    (folder / "sheets").mkdir()
    (folder / f"stray-{stray['release'][:12]}.png").write_bytes(made.png(1, 1))
    build_site(folder, folder / "site")
    assert not list((folder / "site").rglob("*.png"))
