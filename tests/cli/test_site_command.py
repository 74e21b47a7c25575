"""``ucbench leaderboard site`` on the command line."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import site_records as made

from ucbench.cli.app import main

pytest.importorskip("plotly", reason="the site is made with plotly: pip install 'ucbench[site]'")

SUITE = """
name = "small"
version = 3
title = "Spots"
[[table]]
poisoner = "uc"
[ranking]
defenses = ["none", "jpeg"]
"""


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


def test_site_takes_title_and_ranked_defenses_from_the_suite(capsys, tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    (tmp_path / "small.toml").write_text(SUITE)
    assert main(["leaderboard", "site", str(tmp_path / "small.toml"), str(folder)]) == 0
    assert str(folder / "site" / "index.html") in capsys.readouterr().out
    text = (folder / "site" / "index.html").read_text(encoding="utf-8")
    assert "<h1>small v3: Spots</h1>" in text
    assert "Ranked defenses: none, jpeg." in " ".join(text.split())


def test_site_finds_the_suite_of_a_built_folder(tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    (folder / "suite.toml").write_text(SUITE)
    assert main(["leaderboard", "site", str(folder)]) == 0
    assert "<h1>small v3: Spots</h1>" in (folder / "site" / "index.html").read_text(encoding="utf-8")


def test_site_builds_without_a_suite_into_another_folder(tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    assert main(["leaderboard", "site", str(folder), "--out", str(tmp_path / "pages")]) == 0
    assert "there is no ranking" in " ".join((tmp_path / "pages" / "index.html").read_text(encoding="utf-8").split())
    assert not (folder / "site").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([".", ".", "three"], 2, "unexpected extra argument(s) (three)"),
        (["nowhere"], 2, "There is no folder 'nowhere'"),
        (["smokey", "."], 2, "Did you mean 'smoke'?"),
        (["."], 1, "There are no records"),
    ],
)
def test_site_reports_usage_errors(capsys, tmp_path, monkeypatch, arguments, code, text):
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", "site", *arguments]) == code
    assert text in capsys.readouterr().err


def test_site_help_imports_nothing_heavy():
    script = (
        "import sys; from ucbench.cli.app import main; main(['leaderboard', 'site', '--help']);"
        "sys.exit(bool({'torch', 'plotly', 'jinja2', 'scipy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
