"""``ucbench protect``: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
import tiny_components as tiny
from photo_folder import photograph

from ucbench.cli.app import main


@pytest.fixture
def photos(tmp_path, monkeypatch):
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        photograph(number, 24, 20).save(folder / f"{number}.jpg")
    (folder / "notes.txt").write_text("none")
    return folder


def protect(photos, *options: str, safe: str = "safe") -> int:
    base = ["--poisoner", "badge", "--surrogate", "eyes", "--size", "8", "--clusters", "2", "--jobs", "1"]
    return main(["protect", str(photos), "--out", str(photos.parent / safe), *base, "--threads", "1", *options])


def test_protect_says_what_was_done_and_what_to_keep(photos, capsys):
    assert protect(photos) == 0
    text = capsys.readouterr().out
    assert "leave    notes.txt: not an image, or its head is damaged" in text
    assert "8 of 255 levels, measured on the written files" in text
    assert "Keep ucbench.json, ucbench.npz and report.html to yourself" in text


def test_protect_says_what_else_happened_to_how_many_photos(photos, capsys):
    for number in range(2):
        photograph(number, 24, 20).convert("L").save(photos / f"{number}.jpg")
    assert protect(photos) == 0
    assert "Beside the change, by number of copies: grey stored as RGB (2)." in capsys.readouterr().out


def test_protect_says_in_plain_words_that_patterns_are_weak(photos, capsys, monkeypatch):
    monkeypatch.setattr("ucbench.protection.patterns.CraftedPatterns.warnings", ("Entropy is 1.75 nats.",))
    assert protect(photos) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "DO NOT RELY ON THE COPIES: The patterns may be too weak to do anything" in text
    assert "Entropy is 1.75 nats." in text
    assert "Do not rely on these copies" in (photos.parent / "safe" / "report.html").read_text()


def test_protect_names_every_reason_if_no_photo_can_be_read(photos, capsys):
    whole = (photos / "0.jpg").read_bytes()
    for number in range(5):
        (photos / f"{number}.jpg").write_bytes(whole[: len(whole) // 2 + number])
    assert protect(photos) == 1
    text = capsys.readouterr().err
    assert "\n  0.jpg: cannot be read as an image" in text
    assert "\n  notes.txt: not an image" in text


def test_protect_prints_json_alone(photos, capsys):
    assert protect(photos, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["photos"], len(summary["written"]), summary["linf"]) == (5, 5, 8)
    assert summary["left"] == [{"path": "notes.txt", "reason": "not an image, or its head is damaged"}]


def test_dry_run_lists_every_entry_and_writes_nothing(photos, capsys):
    assert protect(photos, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("protect")] == [f"protect  {number}.jpg" for number in range(5)]
    assert not (photos.parent / "safe").exists()


@pytest.mark.parametrize(
    ("kept", "options", "text"),
    [
        (3, [], "3 photos are too few to find groups among them: at least 4 are needed."),
        (5, ["--clusters", "6"], "5 photos make 2 to 5 groups, not 6."),
        (0, [], "No file in "),
    ],
)
def test_dry_run_says_that_a_run_refuses_too_few_photos_which_writes_nothing(photos, capsys, kept, options, text):
    for number in range(kept, 5):
        (photos / f"{number}.jpg").unlink()
    assert protect(photos, *options, "--dry-run") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "leave notes.txt" in printed
    assert f"A RUN WOULD WRITE NO COPIES: {text}" in printed
    assert "would be written 0" in printed
    assert protect(photos, *options) != 0
    assert text in capsys.readouterr().err
    assert not (photos.parent / "safe").exists()


def test_names_of_files_cannot_command_a_terminal_or_forge_lines(photos, capsys):
    photograph(9, 24, 20).save(photos / "a\x1b[2J\nprotect  forged.png")
    (photos / "b\x1b[2J.txt").write_text("none")
    assert protect(photos, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert r"protect  a\x1b[2J\nprotect  forged.png" in lines
    assert r"leave    b\x1b[2J.txt: not an image, or its head is damaged" in lines


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--clusters", "many"], "number of clusters is auto or a whole number"),
        (["--clusters", "1"], "a whole number from 2"),
        (["--epsilon", "0"], "number of 8-bit levels from 1 to 255"),
        (["--size", "100000"], "less than or equal to 512"),
        (["--by-folder"], "Add --check"),
        (["--poisoner", "blots"], "no largest change per value"),
        (["--poisoner", "badges"], "badge"),
        (["--surrogate", "fitted"], "learns from labels, which photos do not have"),
        (["--poisoner", "leaner", "--surrogate", "fitted"], "learns from labels, which photos do not have"),
    ],
)
def test_protect_refuses_wrong_values_before_it_writes(photos, capsys, options, text):
    assert protect(photos, *options) == 2
    assert text in capsys.readouterr().err
    assert not (photos.parent / "safe").exists()


def test_protect_refuses_copies_among_the_originals(photos, capsys):
    assert protect(photos, safe="photos/safe") == 2
    assert "outside each other" in capsys.readouterr().err
