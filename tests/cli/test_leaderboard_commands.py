"""``leaderboard diff|check|submit|export`` and ``export``, from the first record to the file that is sent."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import boards
import pytest
import small_board
from imports import imported_by

from ucbench.cli.app import main
from ucbench.errors import UnmetRequestError
from ucbench.leaderboard.published import COLUMNS
from ucbench.leaderboard.tables import build
from ucbench.matrix import requests

SUITE = small_board.suite_text(
    'poisoner = ["stripes", "blots", "leaner"]',
    'poisoner = ["stripes", "leaner"]\ndefense = "dim"',
    title="Spots & <dots>_1",
)


tiny_world, world, board = small_board.tiny_world, small_board.world_of(SUITE), small_board.board


@pytest.fixture
def suite(world) -> str:
    return str(world / "small.toml")


def output(capsys, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    found = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert found == code, printed.err
    return printed.out if code == 0 else printed.err


def change(board: Path, edit, which=lambda record: True) -> None:
    """Edit the records for which ``which`` is true, and build the tables anew."""
    small_board.edit_records(board, edit, which)
    build(board, ["none", "dim"], "small v3: Spots & <dots>_1")


def test_build_names_the_folder_that_has_no_record_of_the_suite(capsys, suite, tmp_path):
    (tmp_path / "empty").mkdir()
    said = output(
        capsys, "leaderboard", "build", suite, "--records", tmp_path / "empty", "--out", tmp_path / "b", code=1
    )
    assert f"nothing to build from: {tmp_path / 'empty'} has no record of a cell of small" in " ".join(said.split())


def test_check_passes_results_of_the_suite_and_names_it(capsys, suite, board):
    text = output(capsys, "leaderboard", "check", suite, board)
    assert "All tables follow from the records." in text
    assert re.search(r"\d+ of the suite's cells were computed from data and components", text)
    assert json.loads(output(capsys, "leaderboard", "check", suite, board, "--json"))["errors"] == []


def test_check_warns_of_missing_cells_unless_complete(capsys, caplog, suite, board):
    change(board, lambda r: None)
    next((board / "records").iterdir()).unlink()
    build(board, ["none", "dim"], "small v3: Spots & <dots>_1")
    output(capsys, "leaderboard", "check", suite, board)
    assert "No record of 1 of the suite's" in caplog.text
    assert "No record of 1" in output(capsys, "leaderboard", "check", suite, board, "--complete", code=1)


def test_check_names_foreign_records_even_when_tables_match(capsys, suite, board):
    change(board, lambda r: r["request"].update(train_seed=9), lambda r: r["request"]["poisoner"] == "leaner")
    text = output(capsys, "leaderboard", "check", suite, board, code=1)
    assert "contradicts its key: train_seed 9 for" in text
    assert "does not follow" not in text


def test_check_names_other_numerics_although_no_table_can_be_made(capsys, suite, board):
    small_board.edit_records(board, lambda r: r["numerics"].update(threads=2), most=1)
    text = output(capsys, "leaderboard", "check", suite, board, code=1)
    assert "Records were made with different numerics" in text
    assert "cannot be averaged" in text


def test_check_names_a_broken_record_without_traceback(capsys, suite, board):
    path = next((board / "records").iterdir())
    path.write_text("{}")
    text = output(capsys, "leaderboard", "check", suite, board, code=1)
    assert f"{path} is not a record of ucbench: it has no schema number" in text
    assert "Traceback" not in text


def test_submission_is_packed_checked_and_rejected_after_a_change(capsys, tmp_path, suite, board):
    sent = tmp_path / "sent.zip"
    output(capsys, "leaderboard", "submit", suite, board, "--out", sent)
    with zipfile.ZipFile(sent) as archive:
        archive.extractall(tmp_path)
    got = tmp_path / "small" / "v3"
    assert "All fingerprints match." in output(capsys, "leaderboard", "check", suite, got)
    (got / "README.md").write_text("We won.\n")
    text = output(capsys, "leaderboard", "check", suite, got, code=1)
    assert "README.md does not follow from the records" in text
    assert "README.md is not what SHA256SUMS says" in text
    (got / "README.md").unlink()
    text = output(capsys, "leaderboard", "check", suite, got, code=1)
    assert "README.md is missing: `ucbench leaderboard build` makes it." in text
    again = tmp_path / "again.zip"
    output(capsys, "leaderboard", "submit", suite, board, "--out", again)
    assert again.read_bytes() == sent.read_bytes()


def test_submission_that_cites_a_board_follows_from_its_records_where_it_is_unpacked(
    capsys, caplog, tmp_path, suite, board
):
    """The cited board is looked for in SUITE/vN, two folders up."""
    citing = tmp_path / "citing.toml"
    text = Path(suite).read_text()
    citing.write_text(text.replace('name = "small"', 'name = "citing"') + '\n[gate]\nof = "small/v3"\n')
    shutil.copytree(board, tmp_path / "here" / "small" / "v3")
    place = tmp_path / "here" / "citing" / "v3"
    output(capsys, "leaderboard", "build", citing, "--records", board, "--out", place)
    output(capsys, "leaderboard", "submit", citing, place, "--out", tmp_path / "sent.zip")
    assert caplog.text == ""
    with zipfile.ZipFile(tmp_path / "sent.zip") as archive:
        archive.extractall(tmp_path / "there")
    shutil.copytree(board, tmp_path / "there" / "small" / "v3")
    got = tmp_path / "there" / "citing" / "v3"
    assert "All tables follow" in output(capsys, "leaderboard", "check", got / "suite.toml", got)
    assert caplog.text == ""


def test_cited_board_that_is_not_there_is_named(capsys, caplog, tmp_path, suite, board):
    citing = tmp_path / "citing.toml"
    citing.write_text(Path(suite).read_text() + '\n[gate]\nof = "judge/v1"\n')
    out = tmp_path / "boards" / "small" / "v3"
    output(capsys, "leaderboard", "build", citing, "--records", board, "--out", out)
    assert f"There is no {tmp_path / 'boards' / 'judge' / 'v1'}, whose gate the suite cites" in caplog.text
    found = json.loads(output(capsys, "leaderboard", "check", citing, out, "--json"))
    assert (found["errors"], [text[:11] for text in found["warnings"]]) == ([], ["There is no"])


def test_check_says_that_it_needs_the_files_that_a_suite_names(capsys, monkeypatch, suite, board):
    def unreadable(*_arguments):
        raise UnmetRequestError("Cannot read clip/weights.pt: No such file or directory.")

    monkeypatch.setattr(requests, "suite_cells", unreadable)
    text = " ".join(output(capsys, "leaderboard", "check", suite, board, code=2).split())
    assert "Cannot read clip/weights.pt" in text
    assert "boards of the suite cannot be checked without it" in text


def test_check_names_the_distribution_of_an_unknown_component(capsys, tmp_path, suite, board):
    def made_elsewhere(record):
        record["components"]["poisoner"] |= {"distribution": "ucbench-far", "distribution_version": "0.2"}

    change(board, made_elsewhere, lambda record: record["request"]["poisoner"] == "leaner")
    far = tmp_path / "far.toml"
    far.write_text(Path(suite).read_text().replace('"leaner"', '"faraway"'))
    text = output(capsys, "leaderboard", "check", far, board, code=2)
    assert "Unknown poisoner 'faraway'" in text
    assert "The records were made with ucbench-far 0.2, ucbench-tiny 1, not installed here." in text


def test_submission_of_rejected_results_is_not_packed(capsys, tmp_path, suite, board):
    (board / "results.csv").write_text("")
    text = output(capsys, "leaderboard", "submit", suite, board, "--out", tmp_path / "sent", code=1)
    assert re.search(r"^Error: .*results.csv does not follow from the records", text, re.MULTILINE)
    assert "Nothing was packed" in text
    assert not (tmp_path / "sent").exists()


def test_diff_of_a_board_with_itself_is_empty(capsys, suite, board):
    change(board, lambda r: r["metrics"].update(test_accuracy=50), lambda r: r["request"]["poisoner"] == "stripes")
    change(board, lambda r: r["metrics"].update(test_accuracy=60), lambda r: r["request"]["poisoner"] == "leaner")
    found = json.loads(output(capsys, "leaderboard", "diff", board, board, "--suite", suite, "--json"))
    assert found["only_one"] == found["only_other"] == []
    assert {line["other_minus_one"]["mean"] for line in found["differences"]} == {0}
    assert [(order["by"], order["tau"], order["items"]) for order in found["orders"]] == [
        ("no defense", pytest.approx(1), 2), ("worst case", pytest.approx(1), 2),
    ]  # fmt: skip
    text = output(capsys, "leaderboard", "diff", board, board, "--suite", suite)
    assert "In all rows: data set spots; labeling original; victim tiny" in text
    assert "Kendall's tau-b" in text
    assert "exploratory" in text


def test_diff_lists_changed_and_missing_rows(capsys, suite, world, board):
    change(
        board,
        lambda r: r["metrics"].update(test_accuracy=r["metrics"]["test_accuracy"] / 2),
        lambda r: r["request"]["poisoner"] == "stripes",
    )
    for path in (board / "records").iterdir():
        if json.loads(path.read_text())["request"]["poisoner"] == "blots":
            path.unlink()
    text = output(capsys, "leaderboard", "diff", world / "board", board)
    assert "Only in ONE: 1 row." in text
    assert "No order by worst case: name the suite with --suite" in text
    found = json.loads(output(capsys, "leaderboard", "diff", world / "board", board, "--json"))
    assert [setting["poisoner"] for setting in found["only_one"]] == ["blots"]
    changed = {line["poisoner"] for line in found["differences"] if line["other_minus_one"]["mean"]}
    assert changed == {"stripes"}


def test_diff_json_rounds_what_binary_floats_cannot_hold(capsys, tmp_path):
    assert 90.1 - 59.5 != 30.6
    one, other = (boards.folder(tmp_path / str(a), boards.rows_of({"uc": [a, a]})) for a in (59.5, 90.1))
    (line,) = json.loads(output(capsys, "leaderboard", "diff", one, other, "--json"))["differences"]
    assert line["other_minus_one"] == {"mean": 30.6, "half": 0.0, "n": 2}


def test_diff_compares_with_published_figures(capsys, tmp_path, board):
    with (tmp_path / "published.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, value in (("Stripes!", "20"), ("Lean (ours)", "30±1"), ("Unheard of", "4"), ("Stripes", ">87")):
            line = ["P", "T1", "Spots", "1.0", "Linf 24/255", name, "", "original", "none", "Tiny", "clean_test_acc"]
            writer.writerow([*line, value, "somewhere, p. 3"])
    command = ["leaderboard", "diff", board, tmp_path / "published.csv", "--same", "Lean (ours)=leaner"]
    found = json.loads(output(capsys, *command, "--json"))
    assert {(line["poisoner"], line["other"]["mean"], line["published_in"]) for line in found["differences"]} == {
        ("stripes", 20, "P, T1"), ("leaner", 30, "P, T1"),
    }  # fmt: skip
    assert (found["orders"][0]["items"], found["left_out"]) == (2, {"no plain accuracy": 1})
    assert [figure["poisoner"] for figure in found["only_other"]] == ["unheard-of"]
    text = output(capsys, *command)
    assert "1 published figures have no counterpart in ONE" in text
    assert "Published lines left out: 1, no plain accuracy." in text


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("markdown", "# small v3: Spots & <dots>_1\n"),
        ("latex", "small v3: Spots \\& \\textless{}dots\\textgreater{}\\_1."),
        ("html", "<h2>small v3: Spots &amp; &lt;dots&gt;_1</h2>"),
        ("csv", "dataset,labeling,victim"),
    ],
)
def test_export_writes_to_stdout_and_file(capsys, tmp_path, suite, board, name, mark):
    text = output(capsys, "leaderboard", "export", board, "--to", name, "--suite", suite)
    assert mark in text
    output(capsys, "leaderboard", "export", board, "--to", name, "--suite", suite, "--out", tmp_path / "t" / "file")
    assert (tmp_path / "t" / "file").read_text() == text
    if name in ("markdown", "csv"):
        built = (board / ("README.md" if name == "markdown" else "leaderboard.csv")).read_text()
        # A table alone has no figure beside it, nor says what that shows.
        figure = r"!\[.*\]\(accuracy.svg\)\n\nThe figure shows .* Low is good protection. "
        assert text == re.sub(figure, "", built)


def test_folder_suite_is_read_from_its_copy_or_table_heading(capsys, tmp_path, suite, board, monkeypatch):
    text = output(capsys, "leaderboard", "export", board, "--to", "csv", code=2)
    assert "does not say which suite it is of. Name it with --suite" in text
    output(capsys, "leaderboard", "submit", suite, board, "--out", tmp_path / "sent")
    by_copy = output(capsys, "leaderboard", "export", tmp_path / "sent", "--to", "csv")
    monkeypatch.setattr(requests, "suites", lambda: ({"small": Path(suite)}, []))
    assert output(capsys, "leaderboard", "export", board, "--to", "csv") == by_copy


def test_release_export_by_axes_equals_export_by_record(capsys, tmp_path, board):
    world = ["--dataset", "spots", "--victim", "tiny", "--device", "cpu", "--dtype", "float32", "--threads", "1"]
    one, other = tmp_path / "one", tmp_path / "other"
    text = output(capsys, "export", "--poisoner", "leaner", *world, "--out", one)
    assert "36 images, 36 of them perturbed" in text
    wanted = {"poisoner": "leaner", "defense": "none", "train_seed": 0}
    found = [json.loads(path.read_text()) for path in (board / "records").iterdir()]
    (record,) = (record for record in found if wanted.items() <= record["request"].items())
    path = board / "records" / f"{record['cell']}.json"
    output(capsys, "export", "--record", path, "--device", "cpu", "--out", other, "--license", "https://example.org")
    assert (one / "labels.csv").read_bytes() == (other / "labels.csv").read_bytes()
    assert json.loads((other / "release.json").read_text())["release"] == record["release"]
    assert json.loads((other / "croissant.json").read_text())["license"] == "https://example.org"
    assert main(["-q", "export", "--poisoner", "leaner", *world, "--out", str(tmp_path / "quiet")]) == 0
    printed = capsys.readouterr()
    assert (len(printed.out.splitlines()), printed.err) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["leaderboard", "export", ".", "--to", "latx"], "Did you mean 'latex' or 'tex'?"),
        (["leaderboard", "diff", "no-such-folder", "."], "does not exist"),
        (["leaderboard", "diff", ".", ".", "--suite", "smokey"], "Did you mean 'smoke'?"),
        (["export", "--out", "x"], "name a poisoner with --poisoner"),
        (["export", "--poisoner", "stripes"], "Missing option '--out'"),
        (["export", "--poisoner", "stripes", "--poisoner", "badge", "--dataset", "spots", "--victim", "tiny",
          "--out", "x"], "These axes name 2 releases"),
        (["export", "--poisoner", "clean", "--dataset", "spots", "--victim", "tiny", "--out", "x"],
         "no release to export"),
    ],
)  # fmt: skip
def test_leaderboard_usage_errors_exit_with_2(capsys, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert text in output(capsys, *arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_release_export_rejects_record_and_axes_together(capsys, tmp_path, board):
    path = next((board / "records").iterdir())
    text = output(capsys, "export", "--record", path, "--poisoner", "uc", "--out", tmp_path / "x", code=2)
    assert "Give either --record" in text


@pytest.mark.parametrize(("option", "value"), [("--threads", "1"), ("--dtype", "float32"), ("--shard", "1/2")])
def test_export_of_a_record_refuses_what_the_record_states(capsys, tmp_path, board, option, value):
    path = next((board / "records").iterdir())
    text = output(capsys, "export", "--record", path, option, value, "--out", tmp_path / "x", code=2)
    assert f"{option} does not apply to records" in text


def test_export_of_a_record_passes_the_data_folder_to_datasets(capsys, tmp_path, board, monkeypatch):
    monkeypatch.setenv("UCBENCH_DATA", "")
    found = {path: json.loads(path.read_text()) for path in (board / "records").iterdir()}
    path = next(path for path, record in found.items() if record["release"])
    output(capsys, "export", "--record", path, "--device", "cpu", "--data-root", tmp_path, "--out", tmp_path / "x")
    assert os.environ["UCBENCH_DATA"] == str(tmp_path)


def test_leaderboard_help_imports_nothing_heavy():
    names = [["leaderboard", name] for name in ("diff", "check", "submit", "export")] + [["export"]]
    statement = f"from ucbench.cli import main; [main([*name, '--help']) for name in {names!r}]"
    assert imported_by(statement) & {"torch", "scipy", "pandas", "numpy"} == set()
