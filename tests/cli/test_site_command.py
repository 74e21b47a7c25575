"""``ucbench leaderboard site`` on the command line."""

from __future__ import annotations

import logging

import pytest
import site_records as made
from imports import imported_by

from ucbench.cli.app import main


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


def board_page(site):
    return " ".join((site / "boards" / "board" / "index.html").read_text(encoding="utf-8").split())


def test_site_takes_title_and_ranked_defenses_from_the_named_suite(capsys, tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    (tmp_path / "small.toml").write_text(made.SUITE)
    assert main(["leaderboard", "site", str(folder), "--suite", str(tmp_path / "small.toml")]) == 0
    assert str(folder / "site" / "index.html") in capsys.readouterr().out
    assert "<h1>small v3: Spots</h1>" in board_page(folder / "site")
    assert "Ranked defenses: none, jpeg." in board_page(folder / "site")


def test_site_finds_the_suite_of_each_board_and_says_which_folders_are_none(capsys, tmp_path):
    for name in ("one", "two"):
        made.write(tmp_path / name / "v1", made.board(seeds=1), sheets=False)
    (tmp_path / "one" / "v1" / "suite.toml").write_text(made.SUITE)
    (tmp_path / "notes").mkdir()
    assert main(["leaderboard", "site", str(tmp_path), "--out", str(tmp_path / "pages"), "--title", "Mine"]) == 0
    said = capsys.readouterr()
    assert "of 2 boards" in said.out
    assert "Left out notes: it holds no records" in said.err
    home = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert "<h1>Mine</h1>" in home
    assert "small v3: Spots" in home
    assert ">two/v1</a>" in home


def test_site_builds_without_a_suite_into_another_folder(tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    assert main(["leaderboard", "site", str(folder), "--out", str(tmp_path / "pages")]) == 0
    assert "there is no ranking" in board_page(tmp_path / "pages")
    assert not (folder / "site").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([".", "three"], 2, "unexpected extra argument(s) (three)"),
        (["nowhere"], 2, "nowhere"),
        ([".", "--suite", "smokey"], 2, "Did you mean 'smoke'?"),
        (["."], 1, "There are no records"),
    ],
)
def test_site_reports_usage_errors(capsys, tmp_path, monkeypatch, arguments, code, text):
    if "--suite" in arguments:
        made.write(tmp_path, made.board(seeds=1), sheets=False)
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", "site", *arguments]) == code
    assert text in capsys.readouterr().err


def test_site_help_imports_nothing_heavy():
    found = imported_by("from ucbench.cli.app import main; assert main(['leaderboard', 'site', '--help']) == 0")
    assert found & {"torch", "matplotlib", "jinja2", "scipy"} == set()
