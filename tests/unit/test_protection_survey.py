"""What happens to every entry of a folder of photos, and names of copies."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_folder import forbid, photograph, write_folder

from ucbench.errors import DataError, UsageError
from ucbench.protection.survey import Found, output_names, survey

#: Damage that only reading the whole file shows.
DEEP = ("truncated.jpg",)


def test_survey_accounts_for_every_entry_and_says_why_one_is_left(tmp_path):
    root = tmp_path / "photos"
    reasons = write_folder(root, plain=4)
    found = {str(one.path): one for one in survey(root, tmp_path / "safe")}
    entered = {"summer", "summer/beach", "Familie Grün"}
    # glob enters neither hidden nor linked folders.
    entries = {path.relative_to(root).as_posix() for path in root.rglob("*")} - entered
    assert set(found) == {path for path in entries if not path.startswith(("@eaDir/", "linked/"))}
    assert {path for path, one in found.items() if one.action == "leave"} == set(reasons) - set(DEEP)
    assert all(reasons[path] in one.reason for path, one in found.items() if one.action == "leave")
    assert found["phone.mpo.jpg"].type == "MPO"


@pytest.mark.parametrize(("photos", "out"), [("a", "a"), ("a", "a/safe"), ("a/b", "a"), ("a", "link/safe")])
def test_survey_refuses_copies_within_the_originals_and_the_reverse(tmp_path, photos, out):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(UsageError, match="outside each other"):
        survey(tmp_path / photos, tmp_path / out)


def test_survey_leaves_pipes_films_and_names_that_are_no_text(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(1000))
    photograph(0).save(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    reasons = {str(one.path): one.reason for one in survey(tmp_path, tmp_path.with_name("safe"))}
    assert reasons == {
        "pipe.jpg": "not a regular file",
        "film.mov": "not an image, or its head is damaged",
        "caf\\udce9.jpg": "its name is not text",
    }


def test_survey_knows_heic_by_its_content_and_says_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr("ucbench.protection.survey.register_heic", lambda: False)
    (tmp_path / "sent.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "nothing.HEIC").write_bytes(b"no photo at all")
    (tmp_path / "empty.heic").touch()
    photograph(0).save(tmp_path / "really a JPEG.HEIC", "JPEG")
    found = {str(one.path): one.reason or one.type for one in survey(tmp_path, tmp_path.with_name("safe"))}
    assert found == {
        "sent.jpg": "HEIC is read with the extra: pip install 'ucbench[heic]'",
        "nothing.HEIC": "not an image, or its head is damaged",
        "empty.heic": "empty",
        "really a JPEG.HEIC": "JPEG",
    }


def test_survey_says_of_a_file_without_permission_that_it_cannot_be_read(tmp_path, monkeypatch):
    photograph(0).save(tmp_path / "a.jpg")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ucbench.protection.survey.Image.open", refuse)
    monkeypatch.setattr("ucbench.protection.survey._start", lambda path: b"")
    (found,) = survey(tmp_path, tmp_path.with_name("safe"))
    assert (found.action, found.reason) == ("leave", "cannot be read: Permission denied")


def test_survey_leaves_folder_without_permission_and_goes_on(tmp_path, monkeypatch):
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        photograph(0).save(tmp_path / folder / "a.jpg")
    forbid(monkeypatch, tmp_path / "closed", "scandir")
    found = {str(one.path): one.reason for one in survey(tmp_path, tmp_path.with_name("safe"))}
    assert found == {"closed": "cannot be listed: Permission denied", "open/a.jpg": ""}


def test_survey_leaves_entries_of_folder_that_may_be_listed_and_not_entered(tmp_path, monkeypatch):
    (tmp_path / "listed" / "below").mkdir(parents=True)
    for name in ("listed/a.jpg", "b.jpg"):
        photograph(0).save(tmp_path / name)
    forbid(monkeypatch, tmp_path / "listed" / "a.jpg", "stat")
    forbid(monkeypatch, tmp_path / "listed" / "below", "stat")
    found = {str(one.path): one.reason for one in survey(tmp_path, tmp_path.with_name("safe"))}
    assert found == {
        "b.jpg": "",
        "listed/a.jpg": "cannot be read: Permission denied",
        "listed/below": "cannot be listed: Permission denied",
    }


def test_survey_refuses_a_folder_within_one_that_may_not_be_entered(tmp_path, monkeypatch):
    forbid(monkeypatch, tmp_path, "stat")
    with pytest.raises(UsageError, match="within one that you may not enter"):
        survey(tmp_path / "photos", tmp_path.with_name("safe"))


def test_survey_names_folder_of_photos_that_cannot_be_listed(tmp_path, monkeypatch):
    forbid(monkeypatch, tmp_path, "scandir")
    with pytest.raises(DataError, match="cannot be listed: Permission denied"):
        survey(tmp_path, tmp_path.with_name("safe"))


def test_survey_enters_more_nested_folders_than_python_has_frames(deep):
    found = survey(deep, deep.with_name("safe"))
    assert [one.path.name for one in found if one.action == "protect"] == ["deep.jpg", *(f"p{n}.jpg" for n in range(6))]


def photo(path: str, type: str = "JPEG") -> Found:
    return Found(PurePosixPath(path), "protect", type=type)


def names(*paths: str, format="png", **taken: str) -> dict[str, str]:
    earlier = {PurePosixPath(f"{source}.jpg"): PurePosixPath(output) for source, output in taken.items()}
    found = output_names([photo(path) for path in paths], format, earlier)
    return {str(source): str(output) for source, output in found.items()}


def test_copies_keep_folders_and_stems():
    assert names("x/a.JPG", "a.b.jpg", "bare") == {"x/a.JPG": "x/a.png", "a.b.jpg": "a.b.png", "bare": "bare.png"}


def test_photos_with_one_stem_keep_their_suffix_in_it():
    clashing = names("a.jpg", "A.TIF", "x/a.jpg")
    assert clashing == {"a.jpg": "a-jpg.png", "A.TIF": "A-tif.png", "x/a.jpg": "x/a.png"}
    composed = unicodedata.normalize("NFC", "é")
    decomposed = unicodedata.normalize("NFD", "é")
    assert names(f"{composed}.jpg", f"{decomposed}.webp") == {
        f"{composed}.jpg": f"{composed}-jpg.png",
        f"{decomposed}.webp": f"{decomposed}-webp.png",
    }


def test_copy_of_an_earlier_run_keeps_its_name_when_another_photo_would_get_it():
    assert names("a.jpg", "a.webp", a="a.png") == {"a.jpg": "a.png", "a.webp": "a-webp.png"}


def test_same_format_keeps_suffixes_but_for_types_that_are_not_written():
    found = [photo("a.JPG"), photo("b.bmp", "BMP"), photo("c.avif", "AVIF")]
    outputs = output_names(found, "same", {})
    assert [str(outputs[one.path]) for one in found] == ["a.JPG", "b.png", "c.avif"]


PARTS = st.lists(st.sampled_from(["a", "A", "-jpg", "-2", "ß", "ss", "é"]), min_size=1, max_size=3).map("".join)
PATHS = st.tuples(PARTS, st.sampled_from([".jpg", ".JPG", ".png", ".jpeg", ""])).map("".join)


@settings(max_examples=50)
@given(st.lists(PATHS, unique=True), st.lists(PATHS, unique=True))
def test_no_two_copies_get_one_name_on_any_file_system(first, second):
    earlier = output_names([photo(path) for path in first], "png", {})
    both = output_names([photo(path) for path in {*first, *second}], "png", earlier)
    assert {path: both[path] for path in earlier} == earlier
    folded = {unicodedata.normalize("NFC", str(output).casefold()) for output in both.values()}
    assert len(folded) == len({*first, *second})
