"""``analyze``: from axes and from records to a table, correlations, plots and a report, on tiny components."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import replace
from pathlib import Path

import boards
import pandas as pd
import pytest
import tiny_components as tiny
from scipy import stats

import ucbench
import ucbench_measures
from ucbench.analysis import analyze, plots
from ucbench.analysis.analyze import analysis, analyzed
from ucbench.analysis.measures import AnalysisRequest, measured
from ucbench.analysis.recorded import Recorded
from ucbench.analysis.report import markdown
from ucbench.analysis.table import spearman
from ucbench.cli.app import main
from ucbench.matrix import requests
from ucbench.matrix.matrix import expand
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry
from ucbench.plugins.specs import MetricSpec
from ucbench.running.tasks import task_of
from ucbench.steps import run_session
from ucbench.training.engine import Engine
from ucbench_measures import mine
from ucbench_measures.geometry import Covariance

AXES = ("--dataset", "spots", "--victim", "tiny", "--device", "cpu", "--dtype", "float32", "--threads", "1")
CRAFTS = ("--poisoner", "badge", "--poisoner", "stripes")
SMALL = ("--pairs", "30", "--maps", "12")


def registry() -> Registry:
    base = tiny.registry()
    return Registry([*base.plugins, load_module("measures", ucbench_measures, "ucbench", "0")])


@pytest.fixture(autouse=True)
def tiny_world(tmp_path, monkeypatch, tiny_log):
    """The tiny components and the measures are what is installed, and the store is empty."""
    installed = registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: installed)
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    monkeypatch.setattr(mine, "STEPS", 2)  # the slowest part of a measurement
    yield
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


@pytest.fixture
def trainings(monkeypatch) -> list[str]:
    """A line for every training so far."""
    done: list[str] = []
    fit = Engine.fit
    monkeypatch.setattr(Engine, "fit", lambda self, *given, **named: done.append("fit") or fit(self, *given, **named))
    return done


def rows(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "analysis.csv")


def information(table: pd.DataFrame) -> str:
    return next(name for name in table if name.endswith(".ksg"))


def test_analyze_writes_measures_plots_and_a_report_of_every_cell(tmp_path, trainings, capsys):
    out = tmp_path / "out"
    assert main(["analyze", *CRAFTS, *AXES, *SMALL, "--out", str(out)]) == 0
    table = rows(out)
    assert sorted(table["poisoner"]) == ["badge", "clean", "sham", "stripes"]
    gap = f"{information(table)}_gap"
    assert (table.loc[table["poisoner"] == "clean", gap] == 0).all()
    assert table.loc[table["poisoner"] != "clean", gap].abs().max() > 0
    guessed = table.set_index("poisoner")[next(name for name in table if name.endswith("class_held_out"))]
    assert guessed["badge"] > guessed["stripes"]
    assert len(trainings) == 4  # and none for the maps
    plots = {path.name for path in (out / "plots").iterdir()}
    names = [
        "information-accuracy",
        "information-layer",
        "covariance-accuracy",
        *(f"map-{p}" for p in ("badge", "clean")),
    ]
    assert {f"{name}.{ending}" for name in names for ending in ("svg", "png")} <= plots
    report = (out / "analysis.md").read_text(encoding="utf-8")
    assert "| badge |" in report
    assert "](plots/information-accuracy.svg)" in report
    assert "\nbadge " in capsys.readouterr().out
    assert len(list((out / "records").glob("*.json"))) == 4


@pytest.mark.parametrize(("step", "maps"), [("_maps", 12), ("draw_all", 0)])
def test_error_while_drawing_leaves_the_table_of_an_analysis(tmp_path, monkeypatch, step, maps):
    def fail(*given: object) -> None:
        raise ucbench.DataError("no features")

    monkeypatch.setattr(analyze, "have_matplotlib", lambda: True)
    monkeypatch.setattr(analyze, step, fail)
    group = Recorded(tiny.session(tmp_path / "home"), [], boards.rows_of({"clean": [90.0], "uc": [40.0]}))
    with pytest.raises(ucbench.DataError, match="no features"):
        analyze.analyzed([group], AnalysisRequest(maps=maps), tmp_path / "out")
    assert list(rows(tmp_path / "out")["test_accuracy"]) == [90.0, 40.0]
    assert not (tmp_path / "out" / "analysis.md").exists()


def test_analysis_of_a_folder_equals_that_of_its_axes_and_leaves_its_records(tmp_path, trainings):
    out, folder = tmp_path / "out", tmp_path / "folder"
    assert main(["run", *CRAFTS, *AXES, "--out", str(folder)]) == 0
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert main(["analyze", str(folder), "--device", "cpu", *SMALL, "--maps", "0", "--out", str(out)]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before
    assert len(trainings) == 8  # once more each, as a run keeps no victim
    assert main(["analyze", *CRAFTS, *AXES, *SMALL, "--maps", "0", "--out", str(tmp_path / "again")]) == 0
    assert len(trainings) == 8
    for name in ("analysis.csv", "analysis.md", "plots/information-layer.svg"):
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_analysis_into_a_folder_that_cannot_be_made_is_refused_before_anything_is_trained(tmp_path, trainings, capsys):
    assert main(["run", *CRAFTS, *AXES, "--out", str(tmp_path / "run")]) == 0
    trained = len(trainings)
    (tmp_path / "file").touch()
    assert (
        main(["analyze", str(tmp_path / "run"), "--device", "cpu", *SMALL, "--out", str(tmp_path / "file" / "out")])
        == 1
    )
    assert "Results cannot be written to" in capsys.readouterr().err
    assert len(trainings) == trained


def test_analysis_of_another_layer_has_no_measures_of_the_first(tmp_path):
    out = tmp_path / "out"
    for layer in ("penultimate", "input"):
        line = ["analyze", "--poisoner", "badge", *AXES, *SMALL, "--maps", "0", "--layer", layer, "--out", str(out)]
        assert main(line) == 0
        at_layer = {name for name in rows(out) if name.startswith(("mutual-information:", "covariance", "uniformity"))}
        assert at_layer
        assert all(("layer=input" in name) == (layer == "input") for name in at_layer)
        shown = {name for name in rows(out) if name.startswith("mutual-information-by-layer")}
        assert len({name.partition(".")[0] for name in shown}) == 1


def test_analysis_has_values_whose_names_hold_a_dot_of_its_own_measures_only(tmp_path):
    session = tiny.session(tmp_path, registry())
    cells = expand(requests.axes(poisoner="badge", dataset="spots", victim="tiny"), session.registry)
    records = run_session(cells, session)
    names = ("covariance", "covariance:pairs=30", "change")
    for record in records:
        record["metrics"] |= dict.fromkeys([f"{name}.top.5" for name in names], 1.0)
        record["measured_by"] = dict.fromkeys(names, "0" * 32)
    table = analyzed([Recorded(session, cells, records)], AnalysisRequest(pairs=30), None).table
    assert {"covariance:pairs=30.top.5", "change.top.5"} <= set(table)
    assert "covariance.top.5" not in table


def test_measures_of_a_kept_victim_equal_those_taken_after_its_training(tmp_path, trainings):
    request = AnalysisRequest(pairs=30)
    values = []
    for home, first in ((tmp_path / "kept", ()), (tmp_path / "fresh", None)):
        session = tiny.session(home, registry())
        cells = expand(requests.axes(poisoner="badge", dataset="spots", victim="tiny", defense="dim"), session.registry)
        metrics = request.metrics(session.registry)
        if first is not None:
            run_session(measured(cells, first), session)  # keeps victims, measures nothing
        records = run_session([replace(cell, metrics=tuple(metrics)) for cell in cells], session)
        assert [record["status"] for record in records] == ["ok"] * 3
        values.append([record["metrics"] for record in records])
    assert len(trainings) == 6
    assert values[0] == values[1]


def test_keeping_a_victim_changes_no_key(tmp_path):
    session = tiny.session(tmp_path, registry())
    cells = expand(requests.axes(poisoner="stripes", dataset="spots", victim="tiny"), session.registry)
    kept = measured(cells, AnalysisRequest().metrics(session.registry))
    assert all(cell.keep_victim for cell in kept)
    assert [task_of(cell, session).key for cell in kept] == [task_of(cell, session).key for cell in cells]


def test_trainer_without_network_is_measured_by_what_needs_none(tmp_path):
    out = tmp_path / "out"
    axes = [text if text != "tiny" else "nearest" for text in AXES]
    assert main(["analyze", "--poisoner", "badge", *axes, "--trusted", "6", *SMALL, "--out", str(out)]) == 0
    names = {name.partition(":")[0].partition(".")[0] for name in rows(out).columns}
    assert {"separability", "spectrum"} <= names
    assert not {"mutual-information", "covariance"} & names


def test_analyze_refuses_a_folder_with_axes(tmp_path, capsys):
    assert main(["analyze", str(tmp_path), *CRAFTS, *AXES]) == 2
    assert "a folder of results or axes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--dtype", "float32"), ("--threads", "1"), ("--shard", "1/2")], ids=lambda text: text
)
def test_analyze_of_a_folder_refuses_what_its_records_state(tmp_path, capsys, option, value):
    assert main(["analyze", str(tmp_path), option, value]) == 2
    assert f"{option} does not apply to records" in capsys.readouterr().err


def test_analyze_of_a_folder_passes_the_data_folder_to_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_DATA", "")
    assert main(["analyze", str(tmp_path), "--device", "cpu", "--data-root", str(tmp_path / "data")]) == 1
    assert os.environ["UCBENCH_DATA"] == str(tmp_path / "data")


def test_analyze_in_python_returns_the_table_of_its_axes():
    with pytest.raises(ucbench.UsageError, match="a folder of results or axes"):
        ucbench.analyze()
    with pytest.raises(ucbench.UsageError, match="no argument 'layr'"):
        ucbench.analyze(poisoner="badge", dataset="spots", victim="tiny", layr=3)
    found = ucbench.analyze(
        poisoner="badge", dataset="spots", victim="tiny", layer="1", pairs=30, device="cpu", threads=1
    )
    assert found.table["poisoner"].tolist() == ["clean", "sham", "badge"]
    assert "covariance:layer=1,pairs=30.log_det_perturbed" in found.table
    assert not found.files


def test_correlations_rank_each_measure_against_accuracy(tmp_path):
    session = tiny.session(tmp_path, registry())
    cells = expand(requests.axes(poisoner=["badge", "stripes"], dataset="spots", victim="tiny"), session.registry)
    records = run_session(measured(cells, [session.registry.resolve(MetricSpec, "spectrum")]), session)
    for accuracy, record in enumerate(records):
        record["metrics"] |= {"test_accuracy": 10.0 * accuracy, "spectrum.low": -float(accuracy), "spectrum.high": 7.0}
    found = analysis(records).correlations.set_index("measure")
    assert found.loc["spectrum.low", "rho"] == pytest.approx(-1)
    assert found.loc["spectrum.low", ["victim", "n"]].tolist() == ["tiny", 4]
    assert "spectrum.high" not in found.index  # it does not vary


def test_json_of_analyze_has_cells_and_correlations(capsys):
    assert main(["analyze", "--poisoner", "badge", *AXES, *SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["cells"]) == 3
    assert found["correlations"] == []  # of three lines there is none


def test_spearman_is_scipys_with_an_interval_around_it():
    x, y = [1.0, 2, 3, 4, 5, 6, math.nan], [2.0, 1, 4, 3, 6, 5, 0]
    rho, low, high, count = spearman(x, y)
    assert rho == pytest.approx(stats.spearmanr(x[:6], y[:6]).statistic)
    assert -1 < low < rho < high < 1
    assert count == 6


def test_spearman_has_no_interval_for_a_perfect_order_and_no_value_without_one():
    rho, low, high, _ = spearman([1, 2, 3, 4, 5], [1, 4, 9, 16, 25])
    assert rho == pytest.approx(1)
    assert math.isnan(low)
    assert math.isnan(high)
    assert math.isnan(spearman([1, 2, 3], [1, 2, 3])[0])
    assert math.isnan(spearman([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])[0])


def test_analyze_quiet_prints_the_table_and_failed_cells_only(tmp_path, capsys):
    line = ["analyze", "--poisoner", "bad:raises", "--poisoner", "stripes", *AXES, *SMALL, "--maps", "0"]
    assert main(["-q", *line, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    (said,) = printed.err.splitlines()
    assert said.startswith("failed: spots | bad:raises linf 24 | tiny | seed 0: RuntimeError: the optimiser gave up (")
    assert "\nstripes " in printed.out
    assert sorted(rows(tmp_path / "out")["poisoner"]) == ["clean", "sham", "stripes"]
    assert main(["-q", "analyze", "--poisoner", "stripes", *AXES, *SMALL, "--maps", "0"]) == 0
    assert capsys.readouterr().err == ""


def test_analyze_warns_of_failed_cells_in_python(caplog):
    axes = {"dataset": "spots", "victim": "tiny", "poisoner": ["bad:raises", "stripes"]}
    found = ucbench.analyze(**axes, device="cpu", dtype="float32", threads=1, pairs=30, maps=0)
    assert [record["request"]["poisoner"] for record in found.failed] == ["bad:raises"]
    assert "1 of 4 cells failed. The first, of bad:raises: RuntimeError: the optimiser gave up" in caplog.text


def test_analyze_of_a_folder_warns_of_cells_that_cannot_be_measured(caplog, tmp_path, monkeypatch):
    numerics = {"device": "cpu", "dtype": "float32", "threads": 1}
    ucbench.run(dataset="spots", victim="tiny", poisoner=["badge", "stripes"], out=tmp_path, **numerics)
    compute, calls = Covariance.compute, []

    def broken_once(metric, context):
        calls.append(context)
        if len(calls) == 1:
            raise RuntimeError("broken measure")
        return compute(metric, context)

    monkeypatch.setattr(Covariance, "compute", broken_once)
    found = ucbench.analyze(tmp_path, pairs=30, maps=0, **numerics)
    (failed,) = found.failed
    assert f"1 of 4 cells failed. The first, of {failed['request']['poisoner']}: RuntimeError: broken" in caplog.text


def test_analysis_without_a_finished_cell_says_why_the_first_failed():
    failed = [boards.failed(one) for one in boards.rows_of({"uc": [40.0]})]
    with pytest.raises(ucbench.DataError, match="every cell failed, the first with "):
        analysis(failed)


def test_two_crafts_are_both_values_and_not_called_intervals():
    records = boards.rows_of({"clean": [90, 92], "uc": [40, 44]})
    for one in records:
        one["metrics"]["covariance.log_det_perturbed"] = one["metrics"]["test_accuracy"]
    groups = analysis(records).groups
    text = markdown(groups, pd.DataFrame(), {}, "Note.")
    assert "| 42.0 (40.0, 44.0) |" in text
    assert "Note. Parentheses: both values" in text
    assert "±" not in text
    ((caption, _),) = plots._drawings(groups, "").values()
    assert caption.endswith("means over crafts.")
    assert groups[1].means["test_accuracy"].drawn_half == 0


def test_marks_of_plots_tell_apart_the_groups_of_one_poisoner():
    same = boards.rows_of({"clean": [90.0], "lsp": [30.0, 31.0], "uc": [40.0]})
    other = boards.rows_of({"lsp": [60.0]}, craft_labels="clusters:k=20") + boards.rows_of(
        {"uc": [50.0]}, defense="jpeg"
    )
    groups = analysis(same + other).groups
    names = [plots._name(group, groups) for group in groups]
    assert sorted(names) == ["clean", "lsp, clusters:k=20", "lsp, none", "uc, jpeg", "uc, none"]
    assert len(set(plots._style(groups).values())) == 5
