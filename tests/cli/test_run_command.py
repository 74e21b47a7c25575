"""``run`` and ``plan``: what they print where, and how they exit."""

from __future__ import annotations

import csv
import json
import logging
import os
import re

import pytest
import tiny_components as tiny
from imports import imported_by

from ucbench.cli.app import main
from ucbench.results.columns import COLUMNS
from ucbench.store.keys import KINDS

AXES = ("--dataset", "spots", "--victim", "tiny", "--device", "cpu", "--dtype", "float32", "--threads", "1")


@pytest.fixture(autouse=True)
def tiny_world(tmp_path, monkeypatch, tiny_log):
    """The tiny components are what is installed, and the store is empty."""
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("UCBENCH_DATA", "")
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


def output(capsys, *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    return capsys.readouterr().out


def cells(capsys, *arguments: str) -> list[dict]:
    """The cells of a plan, or the rows of a run, that are not references."""
    found = json.loads(output(capsys, *arguments, *AXES, "--json"))
    return [cell for cell in found if cell["poisoner"] not in ("clean", "sham")]


def test_run_prints_one_line_per_group_with_references_and_folder(capsys, tmp_path):
    out = tmp_path / "out"
    assert (
        main(["run", *AXES, "--poisoner", "stripes", "--poisoner", "positive", "--seed", "0-1", "--out", str(out)]) == 0
    )
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in (lines[0], *lines[2:6])] == ["poisoner", "clean", "sham", "positive", "stripes"]
    assert [line.split()[-1] for line in lines[2:6]] == ["2"] * 4
    assert re.search(r"\d \([\d.]+, [\d.]+\)", lines[5])
    assert lines[6].startswith("data set spots; preset standard; surrogate none;")
    assert lines[6].endswith("budget linf 24")
    assert lines[7].startswith("Mean over 2 craft seeds. Fewer than 4: exploratory. Parentheses: both values")
    assert lines[8].startswith("Gate for spots at linf 24, tiny: NOT passed: no effect is stated.")
    assert "[1/8] spots | clean | tiny | seed 0" in printed.err
    assert f"Written: {out}/results.csv" in printed.err
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == len(list((out / "records").iterdir())) == 8
    assert len(list((out / "sheets").iterdir())) == 4


def test_run_json_prints_only_rows(capsys):
    rows = json.loads(output(capsys, "run", *AXES, "--poisoner", "stripes", "--json"))
    assert [row["poisoner"] for row in rows] == ["clean", "sham", "stripes"]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert rows[2]["drop"] == rows[0]["test_accuracy"] - rows[2]["test_accuracy"]


def test_run_json_says_why_cells_failed(capsys):
    *_, row = json.loads(output(capsys, "run", *AXES, "--poisoner", "bad:raises", "--json", code=1))
    assert tuple(row) == (*COLUMNS, "error")
    assert row["error"].startswith("RuntimeError: the optimiser gave up (tiny_protector.py, line ")


def test_run_quiet_prints_only_the_table(capsys, tmp_path):
    assert main(["-q", "run", *AXES, "--poisoner", "stripes", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "stripes" in printed.out


def test_run_quiet_prints_failed_cells_only(capsys):
    assert main(["-q", "run", *AXES, "--poisoner", "bad:raises", "--poisoner", "stripes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    said = "failed: spots | bad:raises linf 24 | tiny | seed 0: RuntimeError: the optimiser gave up (tiny_protector.py,"
    assert line.startswith(said)


def test_run_exits_with_1_on_a_failed_cell_and_shows_the_rest(capsys):
    assert main(["run", *AXES, "--poisoner", "bad:raises", "--poisoner", "stripes"]) == 1
    printed = capsys.readouterr()
    assert "RuntimeError: the optimiser gave up" in printed.err
    lines = {line.split()[0]: line for line in printed.out.splitlines()}
    assert lines["bad:raises"].endswith("0 (1 failed)")
    assert lines["stripes"].endswith("1")


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--poisoner", "strips"], "Unknown poisoner 'strips'. Did you mean 'stripes'? `ucbench list poisoner`"),
        ([], "name a poisoner with --poisoner"),
        (["--victim", "tiny,fixed"], "repeat --victim"),
        (["--epsilon", "0.03"], "8-bit levels"),
        (["--poisoner", "stripes", "--epsilon", "0.03"], "8-bit levels"),
        (
            ["--poisoner", "stripes", "--mixture", "half"],
            "--mixture takes a fraction above 0 and at most 1, such as 0.4 or 40%; got 'half'",
        ),
        (["--poisoner", "stripes", "--mixture", "140%"], "above 0 and at most 1, such as 0.4 or 40%; got '140%'"),
        (["--poisoner", "stripes", "--seed", "0", "--train-seed", "1"], "either --seed"),
        (["--poisoner", "stripes", "--seed", "two"], "'two' is neither a seed nor a range"),
        (
            ["--poisoner", "badge", "--craft-labels", "cluster:k=3"],
            "Use original, predicted:model=SURROGATE or clusters:k=K",
        ),
        (["--poisoner", "stripes", "--device", "tpu"], "Unknown device 'tpu'"),
        (["--poisoner", "stripes", "--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_run_exits_with_2_before_work_on_a_wrong_request(capsys, command, arguments, words):
    assert main([command, *AXES, *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert tiny.work_done() == {}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_inventory_is_printed_once_beside_the_result(capsys, command):
    assert main([command, *AXES, "--poisoner", "stripes", "--json"]) == 0
    printed = capsys.readouterr()
    json.loads(printed.out)
    assert [line for line in printed.err.splitlines() if line.startswith("  ")] == [
        "  train: 36 images: 12 of each class (red, green, blue)",
        "  test: 36 images: 12 of each class (red, green, blue)",
    ]


def test_plan_shows_missing_work_before_and_none_after_a_run(capsys, tmp_path):
    request = [*AXES, "--poisoner", "stripes", "--victim", "fixed"]
    *before, _, last = output(capsys, "plan", *request).splitlines()
    assert last == "6 cells, 0 done; the rest: 6 cells of a kind never timed on this machine."
    assert [line.split()[-2:] for line in before[2:]] == [["run", "?"]] * 6
    releases = [re.search("to craft|shared|stored", line) for line in before[2:]]
    assert [found and found[0] for found in releases] == [None, "to craft", "to craft", None, "shared", "shared"]
    assert tiny.work_done() == {}
    output(capsys, "run", *AXES, "--poisoner", "stripes", "--out", str(tmp_path))
    *half, _, last = output(capsys, "plan", *request).splitlines()
    assert last.startswith("6 cells, 3 done; the rest")
    assert [line.split()[-1] == "done" for line in half[2:]] == [True] * 3 + [False] * 3
    assert [re.split("  +", line)[2] for line in half[2:]] == ["done"] * 3 + ["to run", "stored", "stored"]
    output(capsys, "run", *request)
    assert output(capsys, "plan", *request).splitlines()[-1] == "6 cells, 6 done."


def test_plan_counts_a_single_cell_as_one(capsys):
    last = output(capsys, "plan", *AXES, "--poisoner", "clean").splitlines()[-1]
    assert last == "1 cell, 0 done; the rest: 1 cell of a kind never timed on this machine."


def test_plan_names_what_all_cells_share_once_below_the_table(capsys):
    table = output(capsys, "plan", *AXES, "--poisoner", "stripes", "--defense", "none", "--defense", "dim").splitlines()
    assert re.split("  +", table[0]) == ["poisoner", "defense", "release", "cell", "seconds"]
    assert re.split("  +", table[4].replace("?", "  ?")) == ["stripes", "none", "to craft", "to run", "?"]
    assert table[-2].startswith("data set spots; preset standard; surrogate none; ")
    assert table[-2].endswith("; victim tiny; mixture 1; craft seed 0; train seed 0; budget linf 24")


@pytest.mark.parametrize("width", [80, 120])
def test_plan_for_a_width_leaves_columns_out_and_breaks_no_name(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    several = ["--victim", "fixed", "--labeling", "original", "--labeling", "shifted", "--defense", "dim+dim+dim+dim",
               "--epsilon", "8", "--epsilon", "16", "--mixture", "0.5", "--mixture", "1", "--seed", "9-10",
               "--poisoner", "stripes", "--poisoner", "badge"]  # fmt: skip
    text = output(capsys, "plan", *AXES, *several, "--defense", "none")
    table = text.partition("data set spots")[0].splitlines()
    assert max(map(len, table)) <= width
    rows = [line for line in table if line.startswith(("clean", "sham", "stripes", "badge"))]
    assert rows
    assert all(line.split()[-2:] == ["run", "?"] for line in rows)


def test_every_kind_that_a_run_stores_is_known(capsys, tmp_path):
    output(capsys, "run", *AXES, "--poisoner", "stripes", "--labeling", "shifted", "--defense", "dim")
    assert {"cell", "release"} < {folder.name for folder in (tmp_path / "store" / "objects").iterdir()} < set(KINDS)


def test_plan_json_has_the_keys_of_the_run(capsys):
    (planned,) = cells(capsys, "plan", "--poisoner", "stripes")
    assert (planned["done"], planned["release_done"], planned["seconds"]) == (False, False, None)
    (row,) = cells(capsys, "run", "--poisoner", "stripes")
    assert row["cell"] == planned["cell"]
    (planned,) = cells(capsys, "plan", "--poisoner", "stripes")
    assert (planned["done"], planned["release_done"]) == (True, True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["--epsilon", "8/255"], ["--epsilon", "8"]),
        (["--mixture", "40%"], ["--mixture", "0.4"]),
        (["--seed", "0-1"], ["--seed", "0,1"]),
        (["--seed", "3"], ["--craft-seed", "3", "--train-seed", "3"]),
        (["--craft-labels", "original"], []),
        (["--defense", "none"], []),
    ],
)
def test_plan_keys_are_equal_for_equivalent_spellings(capsys, one, other):
    first, second = (
        [cell["cell"] for cell in cells(capsys, "plan", "--poisoner", "stripes", *given)] for given in (one, other)
    )
    assert first == second


def test_run_axes_may_be_repeated(capsys):
    repeated = ["--poisoner", "stripes", "--poisoner", "badge", "--labeling", "original", "--labeling", "shifted",
                "--defense", "none", "--defense", "dim", "--epsilon", "8", "--epsilon", "16", "--mixture", "1",
                "--mixture", "50%", "--victim", "fixed", "--seed", "0-1"]  # fmt: skip
    assert len(cells(capsys, "plan", *repeated)) == 2**7


def test_run_pairs_seeds_and_crosses_craft_and_train_seeds(capsys):
    def seeds(*given: str) -> list[tuple[int, int]]:
        return [
            (cell["craft_seed"], cell["train_seed"]) for cell in cells(capsys, "plan", "--poisoner", "stripes", *given)
        ]

    assert seeds("--seed", "0-1") == [(0, 0), (1, 1)]
    assert seeds("--craft-seed", "0-1", "--train-seed", "5,6") == [(0, 5), (0, 6), (1, 5), (1, 6)]


def test_run_passes_the_data_folder_to_datasets(capsys, tmp_path):
    output(capsys, "plan", *AXES, "--poisoner", "stripes", "--data-root", str(tmp_path))
    assert os.environ["UCBENCH_DATA"] == str(tmp_path)


def test_run_resumes_after_an_interrupt(capsys, tmp_path, monkeypatch):
    request = ["run", *AXES, "--poisoner", "stripes", "--poisoner", "bad:interrupts", "--out", str(tmp_path / "out")]
    assert main(request) == 130
    printed = capsys.readouterr()
    assert "Interrupted. Finished work is kept" in printed.err
    assert printed.out == ""
    monkeypatch.setattr(tiny.protector.Bad, "craft", tiny.protector.Badge.craft)
    assert main(request) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("[")] == ["[1/1] spots | bad:interrupts linf 24 | tiny | seed 0"]
    assert "3 of 4 cells from records." in said


def test_run_of_records_alone_says_so_and_computes_nothing(capsys):
    request = ["run", *AXES, "--poisoner", "stripes"]
    first = output(capsys, *request)
    assert main(request) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "3 of 3 cells from records."
    assert printed.out == first


def test_run_refuses_an_unknown_column_before_any_work(capsys):
    assert main(["run", *AXES, "--poisoner", "stripes", "--columns", "poisner"]) == 2
    assert "There is no column 'poisner'. Did you mean 'poisoner' or" in capsys.readouterr().err
    assert tiny.work_done() == {}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_usage_error_is_printed_before_heavy_imports(command):
    statement = f"assert main(['{command}', '--poisoner', 'sham', '--victim', 'no-such-net']) == 2"
    found = imported_by(f"from ucbench.cli import main; {statement}")
    assert found & {"torch", "scipy", "sklearn", "pandas"} == set()
