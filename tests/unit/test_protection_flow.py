"""Protecting a folder from survey to report, again, later, interrupted, and with other settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_components as tiny
from photo_folder import exif, photograph, write_folder
from PIL import Image, ImageOps

from ucbench.data.images import decode
from ucbench.errors import DataError, UsageError
from ucbench.protection import protect as flow
from ucbench.protection import working, writing
from ucbench.protection.manifest import read_manifest, write_manifest
from ucbench.protection.request import Request
from ucbench.protection.writing import compared

REQUEST = Request(poisoner="badge", surrogate="eyes", labeler="eyes", size=16, clusters="3")
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    reasons = write_folder(folder, plain=6)
    return folder, reasons


@pytest.fixture(scope="module")
def protected(original, tmp_path_factory):
    """A folder of copies, made once; tests that change it take a copy of it."""
    safe = tmp_path_factory.mktemp("protected") / "safe"
    return safe, protect(original[0], safe)


@pytest.fixture
def world(original, protected, tmp_path):
    """Originals and copies to work on."""
    shutil.copytree(original[0], tmp_path / "photos", symlinks=True)
    shutil.copytree(protected[0], tmp_path / "safe")
    return tmp_path / "photos", tmp_path / "safe"


def protect(photos: Path, safe: Path, request: Request = REQUEST, **options) -> flow.Protection:
    return flow.protect(photos, safe, request, tiny.session(safe.parent / "store", tiny.registry()), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_warnings_of_the_craft_are_kept_and_reported(original, tmp_path, monkeypatch):
    craft = tiny.Badge.craft

    def warned(self, train, run):
        run.warn("the patterns hardly work")
        return craft(self, train, run)

    monkeypatch.setattr(tiny.Badge, "craft", warned)
    done = protect(original[0], tmp_path / "safe")
    assert done.warnings == ("the patterns hardly work",)
    assert "the patterns hardly work" in (tmp_path / "safe" / "report.html").read_text(encoding="utf-8")
    monkeypatch.undo()
    assert protect(original[0], tmp_path / "safe").warnings == done.warnings


def test_copies_have_the_names_of_the_originals(protected):
    outputs = {photo.source: photo.output for photo in read_manifest(protected[0] / "ucbench.json").photos}
    odd = {source: output for source, output in outputs.items() if output != str(Path(source).with_suffix(".png"))}
    assert odd == {
        "clash.jpg": "clash-jpg.png",
        "clash.png": "clash-png.png",
        "Clash.webp": "Clash-webp.png",
    }


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


def test_manifest_and_patterns_name_no_place_of_this_machine(original, protected):
    for name in ("ucbench.json", "ucbench.npz"):
        assert str(original[0].parent).encode() not in (protected[0] / name).read_bytes()


def test_second_run_does_nothing(world):
    photos, safe = world
    times = {path: path.stat().st_mtime_ns for path in safe.rglob("*")}
    done = protect(photos, safe)
    assert done.written == ()
    assert {path: path.stat().st_mtime_ns for path in safe.rglob("*")} == times


def test_manifest_of_very_many_photos_is_read_again(protected, tmp_path):
    manifest = read_manifest(protected[0] / "ucbench.json")
    # As large as that of some 50,000 photos.
    long = manifest.photos[0].model_copy(update={"notes": ("x" * 2**20,) * 20})
    write_manifest(tmp_path / "ucbench.json", manifest.model_copy(update={"photos": (long,)}))
    assert read_manifest(tmp_path / "ucbench.json").photos == (long,)


def test_dry_run_says_what_a_run_does_and_does_nothing(original, protected, tmp_path):
    dry = protect(original[0], tmp_path / "safe", dry_run=True)
    left = {one.path for one in protected[1].left}
    # Damage that only reading the whole file shows is found later.
    assert set(dry.written) - {"truncated.jpg"} == set(protected[1].written)
    assert {one.path for one in dry.left} == left - {"truncated.jpg"}
    assert list(tmp_path.iterdir()) == []


def test_later_photo_gets_a_copy_and_nothing_else_changes(world):
    photos, safe = world
    before = contents(safe)
    photograph(200).save(photos / "summer" / "later.jpg")
    photograph(201).save(photos / "scan.jpg")  # whose copy would have the name of another's
    done = protect(photos, safe)
    assert done.written == ("scan.jpg", "summer/later.jpg")
    after = contents(safe)
    added = {name for name in after if before.get(name) != after[name]}
    assert added == {"summer/later.png", "scan-jpg.png", "ucbench.json", "report.html"}
    assert before.keys() <= after.keys()


def test_changed_photo_is_protected_again_and_a_removed_one_keeps_its_copy(world):
    photos, safe = world
    photograph(202).save(photos / "clash.jpg")
    (photos / "scan.tiff").unlink()
    assert protect(photos, safe).written == ("clash.jpg",)
    manifest = read_manifest(safe / "ucbench.json")
    assert "scan.tiff" in {photo.source for photo in manifest.photos}
    assert (safe / "scan.png").exists()
    assert protect(photos, safe).written == ()


def test_copies_that_somebody_changed_are_not_overwritten_without_force(world):
    photos, safe = world
    (safe / "grey.png").write_bytes(b"edited")
    (safe / "print.png").unlink()
    with pytest.raises(UsageError, match=r"would be overwritten.*\n  grey\.png\n.*--force"):
        protect(photos, safe)
    assert (safe / "grey.png").read_bytes() == b"edited"
    assert not (safe / "print.png").exists()
    assert protect(photos, safe, force=True).written == ("grey.jpg", "print.jpg")


def test_files_that_were_there_before_are_not_overwritten(original, tmp_path):
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "grey.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="would be overwritten"):
        protect(original[0], tmp_path / "safe")
    assert contents(tmp_path / "safe") == {"grey.png": b"mine"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epsilon": 4}, "epsilon 8.0, this one asks for 4.0"),
        ({"poisoner": "stripes"}, "poisoner badge, this one asks for stripes"),
        ({"seed": 5}, "seed 0"),
        ({"format": "webp"}, "format png"),
    ],
)
def test_other_settings_are_refused_by_name(world, change, text):
    with pytest.raises(UsageError, match=text):
        protect(*world, replace(REQUEST, **change))


def test_settings_that_are_not_given_are_those_of_the_first_run(original, tmp_path):
    protect(original[0], tmp_path / "safe", replace(REQUEST, epsilon=4, format="webp"))
    photos = tmp_path / "photos"
    shutil.copytree(original[0], photos, symlinks=True)
    photograph(203).save(photos / "later.jpg")
    done = protect(photos, tmp_path / "safe", Request(labeler="others"))
    assert (done.written, done.linf) == (("later.jpg",), 4)
    assert (tmp_path / "safe" / "later.webp").exists()


def test_patterns_of_another_folder_are_used(original, protected, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(original[0] / "clash.jpg", photos)
    done = protect(photos, tmp_path / "safe", patterns_of=protected[0] / "ucbench.json")
    assert done.written == ("clash.jpg",)
    assert (tmp_path / "safe" / "ucbench.npz").read_bytes() == (protected[0] / "ucbench.npz").read_bytes()
    assert (tmp_path / "safe" / "clash.png").read_bytes() == (protected[0] / "clash-jpg.png").read_bytes()


def test_altered_or_missing_patterns_stop_a_run(world):
    photos, safe = world
    photograph(204).save(photos / "later.jpg")
    whole = (safe / "ucbench.npz").read_bytes()
    (safe / "ucbench.npz").write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match="altered"):
        protect(photos, safe)
    (safe / "ucbench.npz").unlink()
    with pytest.raises(DataError, match="is missing"):
        protect(photos, safe)
    assert not (safe / "ucbench.jsonl").exists() or (safe / "ucbench.jsonl").read_bytes()


def test_two_runs_do_not_write_to_one_folder(world):
    from ucbench.protection.journal import journal

    photos, safe = world
    photograph(205).save(photos / "later.jpg")
    with journal(safe), pytest.raises(UsageError, match="Another run"):
        protect(photos, safe)


def test_several_processes_write_the_same_files(original, protected, tmp_path):
    protect(original[0], tmp_path / "safe", jobs=2)
    assert contents(tmp_path / "safe") == contents(protected[0])


def test_jpeg_copies_report_what_compression_adds(original, tmp_path):
    protect(original[0], tmp_path / "safe", replace(REQUEST, format="same", quality=90))
    photos = {photo.source: photo for photo in read_manifest(tmp_path / "safe" / "ucbench.json").photos}
    assert photos["clash.jpg"].output == "clash.jpg"
    assert photos["clash.jpg"].linf > 8
    assert "JPEG changes values beyond the perturbation" in photos["clash.jpg"].notes
    assert photos["layers.png"].linf <= 8
    with Image.open(tmp_path / "safe" / "scan.tiff") as image:
        assert image.format == "TIFF"


def test_folder_without_photos_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="No entry"):
        protect(tmp_path / "photos", tmp_path / "safe")


def test_killed_runs_continue_to_the_same_bytes(tmp_path):
    program = [sys.executable, str(SUPPORT / "protect_points.py"), "12", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["points"] > 100
    assert result["problems"] == []


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


def small_folder(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    for number in range(count):
        photograph(number, 50, 40).save(folder / f"p{number}.jpg", quality=95)
    return folder


def truncated(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: len(content) // 2]


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


def test_every_name_of_a_damaged_file_is_left_with_a_reason(tmp_path):
    photos = small_folder(tmp_path / "photos")
    for name in ("x.jpg", "y.jpg", "z.jpg"):
        (photos / name).write_bytes(truncated(photos / "p0.jpg"))
    done = protect(photos, tmp_path / "safe")
    assert {one.path for one in done.left} == {"x.jpg", "y.jpg", "z.jpg"}
    assert not {"x.jpg", "y.jpg", "z.jpg"} & set(done.written)


def test_copy_that_equals_its_original_is_named(tmp_path, monkeypatch):
    photos = small_folder(tmp_path / "photos")
    # A pattern that is reduced to one pixel has nothing left.
    monkeypatch.setattr(writing, "perturbed", lambda pixels, changes: pixels if len(pixels) == 1 else pixels ^ 1)
    Image.new("RGB", (100, 1), "gray").save(photos / "line.png")
    done = protect(photos, tmp_path / "safe")
    assert done.unchanged == ("line.png",)
    assert "Not changed:</strong> line.png" in (tmp_path / "safe" / "report.html").read_text(encoding="utf-8")


def test_patterns_of_another_folder_that_were_altered_are_refused(protected, original, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(protected[0], other)
    with (other / "ucbench.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="was altered"):
        protect(original[0], tmp_path / "safe", patterns_of=other / "ucbench.json")


def test_original_that_is_damaged_later_stops_no_run(tmp_path):
    photos = small_folder(tmp_path / "photos")
    protect(photos, tmp_path / "safe")
    (photos / "p1.jpg").write_bytes(truncated(photos / "p1.jpg"))
    done = protect(photos, tmp_path / "safe")
    assert [one.path for one in done.left] == ["p1.jpg"]
    assert (tmp_path / "safe" / "p1.png").exists()


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


def test_settings_of_a_run_that_made_nothing_bind_no_later_one(tmp_path):
    photos = small_folder(tmp_path / "photos")
    with pytest.raises(UsageError, match="make 2 to 6 groups"):
        protect(photos, tmp_path / "safe", replace(REQUEST, clusters="50"))
    assert protect(photos, tmp_path / "safe").photos == 6


def test_photo_that_could_not_be_read_is_tried_again_with_force(tmp_path, monkeypatch):
    photos = small_folder(tmp_path / "photos")
    opened = Image.open

    def broken(source, *args, **options):
        if str(source).endswith("p3.jpg"):
            raise OSError(5, "Input/output error")
        return opened(source, *args, **options)

    safe = tmp_path / "safe"
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", broken)
        protect(photos, safe)
    assert [one.path for one in protect(photos, safe, dry_run=True, force=True).left] == []
    assert protect(photos, safe, force=True).photos == 6


def test_run_that_another_one_overtook_changes_nothing(original, tmp_path, monkeypatch):
    work_of = flow.work_of

    def overtaken(*args):
        monkeypatch.setattr(flow, "work_of", work_of)
        work = work_of(*args)
        protect(original[0], tmp_path / "safe")
        return work

    monkeypatch.setattr(flow, "work_of", overtaken)
    with pytest.raises(UsageError, match="Another run wrote to"):
        protect(original[0], tmp_path / "safe")
    done = protect(original[0], tmp_path / "safe")
    assert (done.written, len(read_manifest(tmp_path / "safe" / "ucbench.json").photos)) == ((), done.photos)


def test_reasons_name_no_folder_of_the_owner(tmp_path):
    photos = tmp_path / "home: mine"
    write_folder(photos, plain=6)
    done = protect(photos, tmp_path / "safe")
    reasons = [one.reason for one in done.left]
    assert any("cannot be read as an image" in reason for reason in reasons)
    assert not [reason for reason in reasons if "mine" in reason or str(tmp_path) in reason]


def test_tiff_copy_notes_that_the_position_is_not_in_it(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(8):
        photograph(number).save(photos / f"{number}.tif")
    block = Image.Exif()
    block.load(exif(gps=True).tobytes())
    for suffix in (".jpg", ".tif"):
        photograph(9).save(photos / f"9{suffix}", exif=block)
    protect(photos, tmp_path / "safe", replace(REQUEST, keep_gps=True, format="same"))
    notes = {one.source: " ".join(one.notes) for one in read_manifest(tmp_path / "safe" / "ucbench.json").photos}
    assert "no position" not in notes["9.jpg"]
    assert "no position" not in notes["0.tif"]
    assert "no position" in notes["9.tif"]


class TestWithoutPatternsForOthers:
    """A poisoner that has patterns only for the photos that it was crafted on."""

    REQUEST = replace(REQUEST, poisoner="stripes", surrogate=None, clusters=None)

    def test_later_photos_are_left_out_and_the_others_are_written(self, tmp_path):
        photos, safe = tmp_path / "photos", tmp_path / "safe"
        photos.mkdir()
        for number in range(5):
            photograph(number).save(photos / f"{number}.png")
        protect(photos, safe, self.REQUEST)
        photograph(9).save(photos / "later.png")
        next(safe.glob("0*")).unlink()
        found = protect(photos, safe, self.REQUEST)
        assert [left.path for left in found.left] == ["later.png"]
        assert "has no change for photos that it was not crafted on" in found.left[0].reason
        assert [path.name for path in safe.glob("0*")] == ["0.png"]

    def test_more_photos_than_one_craft_takes_are_refused_before_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))
        monkeypatch.setattr(working, "MOST_CRAFTED", 4)
        photos = tmp_path / "photos"
        photos.mkdir()
        for number in range(5):
            photograph(number).save(photos / f"{number}.png")
        with pytest.raises(UsageError, match="has no change for photos"):
            protect(photos, tmp_path / "safe", self.REQUEST)
        assert not tiny.work_done()


def test_settings_have_the_surrogate_of_the_preset():
    from ucbench.plugins.registry import installed

    for preset, surrogate in (("standard", "resnet18:width=16"), ("paper", "resnet18")):
        assert Request(poisoner=f"eminn@{preset}", labeler="").settings(installed(), None).surrogate == surrogate


def test_photo_keeps_its_pattern_when_its_copy_is_written_again(world):
    photos, safe = world
    photograph(77).save(photos / "later.png")
    protect(photos, safe)
    manifest = read_manifest(safe / "ucbench.json")
    later = next(photo for photo in manifest.photos if photo.source == "later.png")
    write_manifest(safe / "ucbench.json", manifest.model_copy(update={"photos": [
        photo.model_copy(update={"pattern": (photo.pattern + 1) % 3}) if photo is later else photo
        for photo in manifest.photos
    ]}))  # fmt: skip
    (safe / later.output).unlink()
    protect(photos, safe)
    again = next(p for p in read_manifest(safe / "ucbench.json").photos if p.source == "later.png")
    assert again.pattern == (later.pattern + 1) % 3
