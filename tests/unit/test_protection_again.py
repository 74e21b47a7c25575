"""Protecting a folder again: later, changed or damaged photos, other settings, killed and overtaken runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from photo_folder import forbid, photograph
from PIL import Image
from protecting import REQUEST, UNASSIGNED, contents, protect, small_folder, truncated

from ucbench.errors import DataError, StoreError, UsageError
from ucbench.plugins.registry import installed
from ucbench.protection import protect as flow
from ucbench.protection.journal import journal
from ucbench.protection.manifest import read_manifest, write_manifest
from ucbench.protection.request import ProtectionRequest


@pytest.fixture
def world(original, protected, tmp_path):
    """Originals and copies to work on."""
    shutil.copytree(original[0], tmp_path / "photos", symlinks=True)
    shutil.copytree(protected[0], tmp_path / "safe")
    return tmp_path / "photos", tmp_path / "safe"


def test_second_run_does_nothing(world):
    photos, safe = world
    times = {path: path.stat().st_mtime_ns for path in safe.rglob("*")}
    done = protect(photos, safe)
    assert done.written == ()
    assert {path: path.stat().st_mtime_ns for path in safe.rglob("*")} == times


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


def test_original_that_is_damaged_later_stops_no_run(tmp_path):
    photos = small_folder(tmp_path / "photos")
    protect(photos, tmp_path / "safe")
    (photos / "p1.jpg").write_bytes(truncated(photos / "p1.jpg"))
    done = protect(photos, tmp_path / "safe")
    assert [one.path for one in done.left] == ["p1.jpg"]
    assert (tmp_path / "safe" / "p1.png").exists()


def test_folder_that_is_closed_later_stops_no_run(tmp_path, monkeypatch):
    photos = small_folder(tmp_path / "photos")
    small_folder(photos / "closed", 1)
    protect(photos, tmp_path / "safe")
    photograph(9).save(photos / "later.jpg")
    for name in ("scandir", "stat"):
        forbid(monkeypatch, photos / "closed" / ("" if name == "scandir" else "p0.jpg"), name)
    done = protect(photos, tmp_path / "safe")
    assert (done.photos, done.written) == (8, ("later.jpg",))
    assert [(one.path, one.reason) for one in done.left] == [("closed", "cannot be listed: Permission denied")]
    assert (tmp_path / "safe" / "closed" / "p0.png").exists()


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


def test_photo_keeps_its_pattern_when_its_copy_is_written_again(world):
    photos, safe = world
    photograph(77).save(photos / "later.png")
    protect(photos, safe)
    manifest = read_manifest(safe / "ucbench.json")
    later = next(photo for photo in manifest.photos if photo.source == "later.png")
    moved = later.model_copy(update={"pattern": (later.pattern + 1) % 3})
    entries = tuple(moved if photo is later else photo for photo in manifest.photos)
    write_manifest(safe / "ucbench.json", manifest.model_copy(update={"photos": entries}))
    (safe / later.output).unlink()
    protect(photos, safe)
    again = next(p for p in read_manifest(safe / "ucbench.json").photos if p.source == "later.png")
    assert again.pattern == (later.pattern + 1) % 3


def test_copies_that_somebody_changed_are_not_overwritten_without_force(world):
    photos, safe = world
    (safe / "grey.png").write_bytes(b"edited")
    (safe / "print.png").unlink()
    with pytest.raises(UsageError, match=r"would be overwritten.*\n  grey\.png\n.*--force"):
        protect(photos, safe)
    assert (safe / "grey.png").read_bytes() == b"edited"
    assert not (safe / "print.png").exists()
    assert protect(photos, safe, force=True).written == ("grey.jpg", "print.jpg")


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
    done = protect(photos, tmp_path / "safe", ProtectionRequest(labeler="others"))
    assert (done.written, done.linf) == (("later.jpg",), 4)
    assert (tmp_path / "safe" / "later.webp").exists()


def test_surrogate_that_is_not_given_again_is_that_of_the_first_run(tmp_path):
    photos, safe = small_folder(tmp_path / "photos"), tmp_path / "safe"
    protect(photos, safe, replace(REQUEST, surrogate="others"))
    photograph(203).save(photos / "later.jpg")
    assert protect(photos, safe, replace(REQUEST, surrogate=None)).written == ("later.jpg",)


def test_settings_of_a_run_that_made_nothing_bind_no_later_one(tmp_path):
    photos = small_folder(tmp_path / "photos")
    with pytest.raises(UsageError, match="make 2 to 6 groups"):
        protect(photos, tmp_path / "safe", replace(REQUEST, clusters="50"))
    assert protect(photos, tmp_path / "safe").photos == 6


def test_settings_have_the_surrogate_of_the_preset():
    for preset, surrogate in (("standard", "resnet18:width=16"), ("paper", "resnet18")):
        assert (
            ProtectionRequest(poisoner=f"eminn@{preset}", labeler="").settings(installed(), None).surrogate == surrogate
        )


def test_patterns_of_another_folder_are_used(original, protected, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(original[0] / "clash.jpg", photos)
    done = protect(photos, tmp_path / "safe", patterns_of=protected[0] / "ucbench.json")
    assert done.written == ("clash.jpg",)
    assert (tmp_path / "safe" / "ucbench.npz").read_bytes() == (protected[0] / "ucbench.npz").read_bytes()
    assert (tmp_path / "safe" / "clash.png").read_bytes() == (protected[0] / "clash-jpg.png").read_bytes()


def test_patterns_of_another_folder_that_were_altered_are_refused(protected, original, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(protected[0], other)
    with (other / "ucbench.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="was altered"):
        protect(original[0], tmp_path / "safe", patterns_of=other / "ucbench.json")


def test_patterns_that_cannot_be_read_are_named(world, monkeypatch):
    photos, safe = world
    photograph(77).save(photos / "later.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ucbench.protection.manifest.digest_of", refuse)
    with pytest.raises(StoreError, match=r"safe/ucbench\.npz: Permission denied.*--out"):
        protect(photos, safe)
    with pytest.raises(StoreError, match=r"safe/ucbench\.npz: Permission denied.*--with"):
        protect(photos, safe.with_name("other"), patterns_of=safe / "ucbench.json")


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


@pytest.fixture
def unassigned(tmp_path):
    """Originals and copies, of a poisoner that has no pattern for the later photo, which is there twice."""
    photos, safe = small_folder(tmp_path / "photos", 5, "png"), tmp_path / "safe"
    protect(photos, safe, UNASSIGNED)
    for name in ("later.png", "the same.png"):
        photograph(9).save(photos / name)
    (safe / "p0.png").unlink()
    return photos, safe


def test_later_photos_without_a_pattern_are_left_out_and_the_others_are_written(unassigned):
    photos, safe = unassigned
    found = protect(photos, safe, UNASSIGNED)
    assert (found.written, [left.path for left in found.left]) == (("p0.png",), ["later.png", "the same.png"])
    assert all("has no change for photos that it was not crafted on" in left.reason for left in found.left)
    assert [path.name for path in safe.glob("p0*")] == ["p0.png"]


def test_dry_run_leaves_out_later_photos_without_a_pattern_as_the_run_does(unassigned, tmp_path):
    photos, safe = unassigned
    for out, options in ((safe, {}), (tmp_path / "other", {"patterns_of": safe / "ucbench.json"})):
        dry = protect(photos, out, UNASSIGNED, dry_run=True, **options)
        done = protect(photos, out, UNASSIGNED, **options)
        assert (dry.written, dry.left, dry.refused) == (done.written, done.left, "")
        assert [left.path for left in dry.left] == ["later.png", "the same.png"]


def test_dry_run_says_that_a_run_refuses_altered_or_missing_patterns(world):
    photos, safe = world
    photograph(204).save(photos / "later.jpg")
    with (safe / "ucbench.npz").open("ab") as file:
        file.write(b"x")
    assert "was altered" in protect(photos, safe, dry_run=True).refused
    (safe / "ucbench.npz").unlink()
    assert "is missing" in protect(photos, safe, dry_run=True).refused


def test_check_that_too_few_photos_prevent_leaves_a_run_that_has_ended(tmp_path):
    photos, safe = small_folder(tmp_path / "photos"), tmp_path / "safe"
    with pytest.raises(UsageError, match=r"at least two groups of .* The copies and their report are written"):
        protect(photos, safe, check=True)
    before = contents(safe)
    assert {"report.html", "ucbench.json", "p0.png"} < before.keys()
    assert "ucbench.jsonl" not in before
    assert protect(photos, safe).written == ()


def test_two_runs_do_not_write_to_one_folder(world):
    photos, safe = world
    photograph(205).save(photos / "later.jpg")
    with journal(safe), pytest.raises(UsageError, match="Another run"):
        protect(photos, safe)


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


def test_killed_runs_continue_to_the_same_bytes(tmp_path):
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "protect_points.py"), "12", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["points"] > 100
    assert result["problems"] == []
