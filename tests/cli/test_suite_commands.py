"""Suites, shards, metrics and leaderboards on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_board
import tiny_components as tiny

from ucbench.cli.app import main
from ucbench.matrix import requests

SUITE = small_board.suite_text('poisoner = ["stripes", "badge"]\ndefense = ["none", "dim"]', victim="tiny")
WORLD = ("--poisoner", "stripes", "--dataset", "spots", "--victim", "tiny")
HERE = ("--device", "cpu", "--dtype", "float32")


tiny_world = small_board.tiny_world


pytestmark = pytest.mark.usefixtures("tiny_log")


@pytest.fixture
def suite(tmp_path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return str(path)


def plan(capsys, *arguments: str) -> list[dict]:
    capsys.readouterr()
    assert main(["plan", *arguments, *HERE, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_suite_shards_share_a_folder_and_make_a_leaderboard(capsys, tmp_path, suite):
    out, board = str(tmp_path / "out"), tmp_path / "board"
    everything = plan(capsys, "--suite", suite)
    assert len(everything) == 16
    for part in ("1/2", "2/2"):
        assert main(["run", "--suite", suite, "--shard", part, *HERE, "--out", out]) == 0
    assert all(cell["done"] for cell in plan(capsys, "--suite", suite, "--out", out))
    assert tiny.work_done()["craft stripes"] == 2

    assert main(["leaderboard", "build", suite, "--records", out, "--out", str(board)]) == 0
    assert "# small v3: Spots" in (board / "README.md").read_text()
    capsys.readouterr()
    assert main(["leaderboard", "check", suite, str(board)]) == 1
    (only,) = (line for line in capsys.readouterr().err.splitlines() if "well-formed" not in line)
    assert only.startswith("Error: Clean accuracy is not clearly above chance"), (
        "the tiny victim learns nothing, all else holds"
    )
    (board / "leaderboard.csv").write_text("rank\n")
    capsys.readouterr()
    assert main(["leaderboard", "check", suite, str(board)]) == 1
    assert "leaderboard.csv does not follow from the records" in capsys.readouterr().err


def test_suite_axes_are_replaced_by_flags(capsys, suite):
    cells = plan(capsys, "--suite", suite, "--seed", "5", "--defense", "fog")
    assert {(cell["train_seed"], cell["defense"]) for cell in cells} == {(5, "fog")}


def test_suite_fixes_threads_unless_given(capsys, tmp_path, suite):
    one, two = tmp_path / "one", tmp_path / "two"
    main(["run", "--suite", suite, "--seed", "0", "--poisoner", "stripes", *HERE, "--out", str(one)])
    main(["run", "--suite", suite, "--seed", "0", "--poisoner", "stripes", *HERE, "--threads", "2", "--out", str(two)])
    threads = [
        {json.loads(path.read_text())["numerics"]["threads"] for path in Path(out, "records").iterdir()}
        for out in (one, two)
    ]
    assert threads == [{1}, {2}]


def test_suite_metric_is_a_column(capsys):
    assert main(["run", *WORLD, "--metric", "change", *HERE]) == 0
    assert "change.mean" in capsys.readouterr().out.splitlines()[0].lower()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "--seed", "0"], "Nothing to run: name a poisoner with --poisoner, or a suite with --suite"),
        (["run", "--suite", "smokey"], "Did you mean 'smoke'?"),
        (["plan", *WORLD, "--metric", "sharpnes"], "Did you mean 'sharpness' or"),
        (["run", *WORLD, "--executor", "proces"], "Did you mean 'process'?"),
        (["plan", *WORLD, "--trusted", "few"], "--trusted takes a whole number, 0 or more; got 'few'"),
        (["plan", *WORLD, "--shard", "3"], "--shard is a part such as 3/16"),
    ],
)
def test_suite_usage_errors_exit_with_2(capsys, arguments, text):
    assert main(arguments) == 2
    assert text in capsys.readouterr().err


def test_show_suite_has_what_list_has_and_every_table(capsys):
    assert main(["list", "suites", "digits-core", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    for words in (["show", "suite", "digits-core"], ["show", "digits-core"]):
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == listed
    assert main(["show", "suite", "digits-core"]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.startswith("table")][1].split(maxsplit=2)[2] == (
        "poisoner positive:grid=2"
    )
    assert "seed 0-3" in text


def test_suites_lists_version_and_file(capsys):
    assert main(["list", "suites", "digits-c*", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["version"]) == ("digits-core", 1)
    assert Path(listed["path"]).name == "digits-core.toml"


def test_suites_without_a_match_say_so(capsys):
    assert main(["list", "suites", "digits-cor"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "There is no suite named 'digits-cor'.\n")


def test_suites_that_are_broken_are_left_out_with_a_warning(capsys, monkeypatch, tmp_path, suite):
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    monkeypatch.setattr(requests, "suites", lambda: ({"small": Path(suite), "broken": broken}, []))
    assert main(["list", "suites", "--json"]) == 0
    printed = capsys.readouterr()
    assert [listed["name"] for listed in json.loads(printed.out)] == ["small"]
    assert printed.err.startswith(f"Warning: Suite {broken} is not valid TOML")
    assert printed.err.endswith("It is left out.\n")
