"""The copies of a first run: one or a reason for every entry, within the budget, under free names, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_components as tiny
from photo_folder import exif, photograph, write_folder
from PIL import Image, ImageOps
from protecting import REQUEST, UNASSIGNED, contents, protect, small_folder, truncated

from ucbench.data.images import decode
from ucbench.errors import DataError, StoreError, UsageError
from ucbench.protection import working, writing
from ucbench.protection.manifest import read_manifest, write_manifest
from ucbench.protection.writing import compared


def pixels(path: Path, mode: str) -> np.ndarray:
    """By Pillow alone."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode)).astype(int)


def test_every_entry_has_a_copy_or_a_reason(original, protected):
    folder, reasons = original
    safe, done = protected
    manifest = read_manifest(safe / "ucbench.json")
    left = {one.path: one.reason for one in manifest.left}
    assert left.keys() == reasons.keys()
    assert all(reason in left[path] for path, reason in reasons.items())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    sources = {photo.source for photo in manifest.photos}
    assert {path for path in files if not path.startswith(("@eaDir/", "linked/"))} - left.keys() == sources
    outputs = {path for path in contents(safe) if path not in ("ucbench.json", "ucbench.npz", "report.html")}
    assert outputs == {photo.output for photo in manifest.photos}
    assert (done.photos, len(done.written), done.linf) == (len(sources), len(sources), 8)


def test_copies_have_the_names_of_the_originals(protected):
    outputs = {photo.source: photo.output for photo in read_manifest(protected[0] / "ucbench.json").photos}
    odd = {source: output for source, output in outputs.items() if output != str(Path(source).with_suffix(".png"))}
    assert odd == {
        "clash.jpg": "clash-jpg.png",
        "clash.png": "clash-png.png",
        "Clash.webp": "Clash-webp.png",
    }


def test_copies_avoid_the_names_of_folders_and_of_the_runs_own_files(tmp_path):
    photos = small_folder(tmp_path / "photos")
    (photos / "p2.png").mkdir()
    (photos / "p1.jpg").rename(photos / "p2.png" / "a.jpg")
    (photos / "p0.jpg").rename(photos / "report.html")
    (photos / ("n" * 230 + ".jpg")).write_bytes((photos / "p3.jpg").read_bytes())
    done = protect(photos, tmp_path / "safe", replace(REQUEST, format="same"))
    assert not done.left
    assert b"<!doctype html>" in (tmp_path / "safe" / "report.html").read_bytes()
    assert len(done.written) == 7


def test_copies_stay_within_the_budget_as_another_reader_sees_them(original, protected):
    folder, (safe, _) = original[0], protected
    for photo in read_manifest(safe / "ucbench.json").photos:
        deep, grey = photo.source == "deep.png", photo.source == "grey.jpg"
        mode = "RGBA" if photo.source in ("layers.png", "palette.png") else "RGB"
        before, after = pixels(folder / photo.source, "L" if grey else mode), pixels(safe / photo.output, mode)
        change = after - (before[..., None] if grey else before)
        assert np.abs(change).max() == photo.linf <= 8, photo.source
        assert after.shape[:2] == (photo.height, photo.width)
        assert deep or photo.linf > 0
        if mode == "RGBA":
            assert not change[..., 3].any()


def test_equal_files_get_equal_pixels(protected):
    safe = protected[0]
    assert np.array_equal(decode(safe / "clash-jpg.png"), decode(safe / "summer" / "the same again.png"))


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_photo_that_the_pattern_does_not_change_is_named(tmp_path, monkeypatch, format):
    photos = small_folder(tmp_path / "photos")
    # A pattern that is reduced to one pixel has nothing left.
    monkeypatch.setattr(writing, "perturbed", lambda pixels, changes: pixels if len(pixels) == 1 else pixels ^ 1)
    photograph(7, 100, 1).save(photos / "line.png")
    done = protect(photos, tmp_path / "safe", replace(REQUEST, format=format))
    assert done.unchanged == ("line.png",)
    assert "Not changed:</strong> line.png" in (tmp_path / "safe" / "report.html").read_text(encoding="utf-8")


def test_jpeg_copies_report_what_compression_adds(original, tmp_path):
    protect(original[0], tmp_path / "safe", replace(REQUEST, format="same", quality=90))
    photos = {photo.source: photo for photo in read_manifest(tmp_path / "safe" / "ucbench.json").photos}
    assert photos["clash.jpg"].output == "clash.jpg"
    assert photos["clash.jpg"].linf > 8
    assert "JPEG changes values beyond the perturbation" in photos["clash.jpg"].notes
    assert photos["layers.png"].linf <= 8
    with Image.open(tmp_path / "safe" / "scan.tiff") as image:
        assert image.format == "TIFF"


def test_tiff_copy_notes_that_the_position_is_not_in_it(tmp_path):
    photos = small_folder(tmp_path / "photos", 8, "tif")
    block = Image.Exif()
    block.load(exif(gps=True).tobytes())
    for suffix in (".jpg", ".tif"):
        photograph(9).save(photos / f"p9{suffix}", exif=block)
    protect(photos, tmp_path / "safe", replace(REQUEST, keep_gps=True, format="same"))
    notes = {one.source: " ".join(one.notes) for one in read_manifest(tmp_path / "safe" / "ucbench.json").photos}
    assert "no position" not in notes["p9.jpg"]
    assert "no position" not in notes["p0.tif"]
    assert "no position" in notes["p9.tif"]


def test_every_name_of_a_damaged_file_is_left_with_a_reason(tmp_path):
    photos = small_folder(tmp_path / "photos")
    for name in ("x.jpg", "y.jpg", "z.jpg"):
        (photos / name).write_bytes(truncated(photos / "p0.jpg"))
    done = protect(photos, tmp_path / "safe")
    assert {one.path for one in done.left} == {"x.jpg", "y.jpg", "z.jpg"}
    assert not {"x.jpg", "y.jpg", "z.jpg"} & set(done.written)


def test_reasons_name_no_folder_of_the_owner(tmp_path):
    photos = tmp_path / "home: mine"
    write_folder(photos, plain=6)
    done = protect(photos, tmp_path / "safe")
    reasons = [one.reason for one in done.left]
    assert any("cannot be read as an image" in reason for reason in reasons)
    assert not [reason for reason in reasons if "mine" in reason or str(tmp_path) in reason]


def test_manifest_and_patterns_name_no_place_of_this_machine(original, protected):
    for name in ("ucbench.json", "ucbench.npz"):
        assert str(original[0].parent).encode() not in (protected[0] / name).read_bytes()


def test_several_processes_write_the_same_files(original, protected, tmp_path):
    protect(original[0], tmp_path / "safe", jobs=2)
    assert contents(tmp_path / "safe") == contents(protected[0])


def test_dry_run_says_what_a_run_does_and_does_nothing(original, protected, tmp_path):
    dry = protect(original[0], tmp_path / "safe", dry_run=True)
    left = {one.path for one in protected[1].left}
    # Damage that only reading the whole file shows is found later.
    assert set(dry.written) - {"truncated.jpg"} == set(protected[1].written)
    assert {one.path for one in dry.left} == left - {"truncated.jpg"}
    assert list(tmp_path.iterdir()) == []


def test_warnings_of_the_craft_are_kept_and_reported(original, tmp_path, monkeypatch):
    craft = tiny.protector.Badge.craft

    def warned(self, train, run):
        run.warn("the patterns hardly work")
        return craft(self, train, run)

    monkeypatch.setattr(tiny.protector.Badge, "craft", warned)
    done = protect(original[0], tmp_path / "safe")
    assert done.warnings == ("the patterns hardly work",)
    assert "the patterns hardly work" in (tmp_path / "safe" / "report.html").read_text(encoding="utf-8")
    monkeypatch.undo()
    assert protect(original[0], tmp_path / "safe").warnings == done.warnings


def test_folder_without_photos_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("none")
    with pytest.raises(DataError, match=r"No file in .* can be protected:\n  notes.txt: not an image"):
        protect(tmp_path / "photos", tmp_path / "safe")


def test_folder_of_copies_that_cannot_be_written_is_named_with_its_option(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/safe.*: Not a directory.*--out names another place"):
        protect(small_folder(tmp_path / "photos"), tmp_path / "file" / "safe")


def test_folder_of_copies_that_is_a_circle_of_links_is_named(tmp_path):
    (tmp_path / "safe").symlink_to("safe")
    with pytest.raises(StoreError, match=r"safe.*--out names another place"):
        protect(small_folder(tmp_path / "photos"), tmp_path / "safe")


def test_photo_whose_copy_would_have_too_long_a_name_is_left(tmp_path):
    photos = small_folder(tmp_path / "photos")
    photograph(9).save(photos / ("x" * 255), "JPEG")
    done = protect(photos, tmp_path / "safe")
    assert (done.photos, [one.path for one in done.left]) == (6, ["x" * 255])
    assert done.left[0].reason == "its copy's name would be too long: rename it"


def test_photo_whose_copy_would_have_too_long_a_path_is_left(tmp_path):
    photos, most = small_folder(tmp_path / "photos"), os.pathconf("/", "PC_PATH_MAX")
    folder = photos
    while (room := most - len(str(folder)) - len("/a.jpg")) > 100:
        folder /= "d" * min(200, room - 20)
        folder.mkdir()
    photograph(9).save(folder / "a.jpg")
    done = protect(photos, tmp_path / ("safe" + 200 * "e"))
    assert (done.photos, [one.path for one in done.left]) == (6, [str((folder / "a.jpg").relative_to(photos))])
    assert done.left[0].reason.startswith("its copy's path would be too long")


def test_photo_below_more_folders_than_python_has_frames_gets_its_copy(deep):
    done = protect(deep, deep.with_name("safe"))
    assert (done.photos, done.left) == (7, ())
    manifest = read_manifest(done.folder / "ucbench.json")
    assert all((done.folder / photo.output).is_file() for photo in manifest.photos)


def test_folder_of_copies_that_leads_back_to_the_originals_is_refused(tmp_path):
    photos = small_folder(tmp_path / "photos")
    (photos / "sub").mkdir()
    (photos / "p0.jpg").rename(photos / "sub" / "p0.jpg")
    before = contents(photos)
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "sub").symlink_to(photos / "sub")
    with pytest.raises(UsageError, match="where the originals are"):
        protect(photos, tmp_path / "safe", force=True)
    assert contents(photos) == before


def test_files_that_were_there_before_are_not_overwritten(original, tmp_path):
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "grey.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="would be overwritten"):
        protect(original[0], tmp_path / "safe")
    assert contents(tmp_path / "safe") == {"grey.png": b"mine"}


def test_manifest_of_very_many_photos_is_read_again(protected, tmp_path):
    manifest = read_manifest(protected[0] / "ucbench.json")
    # As large as that of some 50,000 photos.
    long = manifest.photos[0].model_copy(update={"notes": ("x" * 2**20,) * 20})
    write_manifest(tmp_path / "ucbench.json", manifest.model_copy(update={"photos": (long,)}))
    assert read_manifest(tmp_path / "ucbench.json").photos == (long,)


@pytest.mark.parametrize("shape", [(40, 30), (1500, 900), (5, 3000)])
def test_differences_are_measured_exactly_whatever_the_size(shape):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    after = np.clip(before + rng.integers(-3, 4, before.shape), 0, 255).astype(np.uint8)
    values = compared(before, after)
    error = (after.astype(float) - before) ** 2
    assert values["linf"] == np.sqrt(error.max())
    assert values["changed"] == pytest.approx((error > 0).mean(), abs=1e-6)
    assert values["psnr"] == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=1e-3)
    assert 0.9 < values["ssim"] < 1
    assert compared(before, before) == {"linf": 0, "changed": 0, "psnr": 100, "ssim": 1}


def test_more_photos_than_one_craft_takes_are_refused_before_it(tmp_path, monkeypatch, tiny_log):
    monkeypatch.setattr(working, "MOST_CRAFTED", 4)
    photos = small_folder(tmp_path / "photos", 5, "png")
    with pytest.raises(UsageError, match="has no change for photos"):
        protect(photos, tmp_path / "safe", UNASSIGNED)
    assert not tiny.work_done()
