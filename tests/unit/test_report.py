"""Reports: everything of a folder in one file that asks for nothing else, and commands that a shell can run."""

from __future__ import annotations

import base64
import html
import re
import shlex

import boards
import pytest
import site_records as made
from PIL import Image

from ucbench.cli.app import main
from ucbench.leaderboard.problems import record_title
from ucbench.leaderboard.report import _seeds, report
from ucbench.matrix.suite import load_suite
from ucbench.results.records import records_in
from ucbench.results.table import rows
from ucbench.results.text import fitted
from ucbench.results.view import view


@pytest.fixture
def folder(tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=4))
    (folder / "sheets").mkdir(exist_ok=True)
    for record in records_in(folder):
        if record["release"]:
            name = record["request"]["poisoner"].partition(":")[0]
            Image.new("RGB", (4, 4)).save(folder / "sheets" / f"{name}-{record['release'][:12]}.png")
    return folder


def test_report_requests_nothing_from_outside(folder):
    text = report(folder)
    assert "default-src 'none'" in text
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_report_of_mixed_numerics_has_their_means_apart_and_no_figure(tmp_path):
    mixed = [boards.record("uc", 0, 40), boards.elsewhere(boards.record("uc", 1, 50))]
    text = report(boards.folder(tmp_path / "mixed", mixed))
    assert "No figures and no ranking: Records of digits" in text
    assert "<svg" not in text[: text.index("Means over seeds")]
    assert ">40.0<" in text
    assert ">50.0<" in text


def test_report_shows_every_poisoner_in_figure_table_images_and_commands(folder):
    text = html.unescape(report(folder))
    figure = text[text.index("<svg") : text.index("Means over seeds")]
    commands = text[text.index("<pre>") : text.index("</pre>")]
    for name in ("uc", "lsp", "positive", made.SECOND):
        assert f">{name}</text>" in figure
        assert f"</svg>{name}</td>" in text
        assert f"perturbation and release: {name} on" in text
        assert f"--poisoner {name} " in commands


def test_report_shows_the_numbers_and_notes_of_the_summary(folder):
    text = html.unescape(report(folder))
    summary = view(rows(records_in(folder)))
    for column in fitted(summary.columns, None)[0]:
        assert all(f">{cell}</td>" in text or f"</svg>{cell}</td>" in text for cell in column.cells if cell)
    assert "Gate for digits at linf 8" in text


def test_report_embeds_the_sheet_of_the_first_craft(folder):
    first = next(
        record for record in records_in(folder)
        if record["request"]["poisoner"] == "uc" and record["request"]["craft_seed"] == 0
    )  # fmt: skip
    sheet = folder / "sheets" / f"uc-{first['release'][:12]}.png"
    Image.new("RGB", (5, 5)).save(sheet)
    assert base64.b64encode(sheet.read_bytes()).decode() in report(folder)


def test_report_embeds_nothing_from_behind_a_link(folder, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (7, 7)).save(secret)
    for sheet in (folder / "sheets").iterdir():
        sheet.unlink()
        sheet.symlink_to(secret)
    assert base64.b64encode(secret.read_bytes()).decode() not in report(folder)


def test_report_of_a_board_has_the_ranked_table_of_its_suite(folder):
    (folder / "suite.toml").write_text(made.SUITE)
    text = report(folder, load_suite(folder / "suite.toml"))
    assert "<h1>small v3: Spots</h1>" in text
    assert "worst case %" in text
    assert "ucbench run --suite small --out results" in text


def test_report_names_failed_cells_and_few_crafts(tmp_path):
    found = boards.rows_of({"clean": [90, 91], "uc": [40, 41]})
    folder = boards.folder(tmp_path, [*found[:-1], boards.failed(found[-1])])
    text = report(folder)
    assert "4 cells, 1 failed." in text
    assert f"Failed: {record_title(found[-1])}: ValueError: no</p>" in text
    assert "2 craft seeds, fewer than 4: exploratory." in text


def test_report_states_an_error_once_with_the_line_of_the_plugin(tmp_path):
    failed = boards.failed(boards.record("uc", 0, 40))
    traceback = "Traceback (most recent call last):\n  File ...\nValueError: two\nlines"
    failed["error"] = {"type": "ValueError", "text": traceback, "place": "plugin.py:7"}
    assert "seed 0 (" in (text := report(boards.folder(tmp_path, [failed])))
    assert ": ValueError: two lines (plugin.py:7)</p>" in text
    assert "ValueError: ValueError" not in text


def test_figures_of_two_mixtures_and_of_trusted_images_say_which_they_are_of(tmp_path):
    found = [
        record
        for extra in ({}, {"mixture": 0.5}, {"mixture": 0.25}, {"trusted": 20})
        for record in boards.rows_of({"uc": [40, 41]}, **extra)
    ]
    text = report(boards.folder(tmp_path, found))
    figures = [figure.partition("</svg>")[0] for figure in text.split('<div class="wide"><svg')[1:]]
    extras = ["mixture 0.5", "mixture 0.25", "20 trusted images"]
    shown = [[extra for extra in extras if extra in figure] for figure in figures]
    assert sorted(shown) == sorted([[], *([extra] for extra in extras)])


def test_report_escapes_names(tmp_path):
    text = report(made.write(tmp_path / "board", [made.record("clean"), made.record(made.HOSTILE)]))
    assert "<img src=x" not in text
    assert html.escape(made.HOSTILE) in text


def test_commands_of_a_report_name_each_cell_once(folder):
    text = html.unescape(report(folder))
    commands = [shlex.split(line) for line in text[text.index("<pre>") + 5 : text.index("</pre>")].splitlines()]
    assert all(command[:2] == ["ucbench", "run"] and command[-2:] == ["--seed", "0,1,2,3"] for command in commands)
    cells = {
        (record["request"]["poisoner"], record["request"]["defense"])
        for record in records_in(folder)
        if record["request"]["poisoner"] not in ("clean", "sham")
    }
    assert len(commands) == len(cells)


@pytest.mark.parametrize(
    ("pairs", "texts"),
    [
        ({(0, 0), (1, 1)}, ["--seed 0,1"]),
        ({(0, 0), (0, 1), (2, 4), (2, 5)}, ["--seed 0,2 --trainings 2"]),
        ({(0, 0), (0, 1), (1, 0), (1, 1)}, ["--craft-seed 0 --train-seed 0,1", "--craft-seed 1 --train-seed 0,1"]),
        ({(0, 0), (0, 1), (1, 2)}, ["--craft-seed 0 --train-seed 0,1", "--craft-seed 1 --train-seed 2"]),
    ],
)
def test_seeds_are_nested_where_they_are_those_of_trainings(pairs, texts):
    assert _seeds(pairs) == texts


def test_report_command_writes_a_file_and_the_same_again(folder, tmp_path, capsys):
    assert main(["report", str(folder), "--to", str(tmp_path / "a.html")]) == 0
    assert str(tmp_path / "a.html") in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    assert (tmp_path / "a.html").read_bytes() == (folder / "report.html").read_bytes()
    assert main(["report", str(tmp_path / "none")]) == 2
