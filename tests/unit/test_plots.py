"""Plots: what is drawn of which rows, where it stands, and that equal rows give equal files."""

from __future__ import annotations

import math
import re

import boards
import pytest

from ucbench.cli.app import main
from ucbench.errors import DataError, UsageError
from ucbench.leaderboard.facets import panels
from ucbench.leaderboard.marks import mark_of
from ucbench.leaderboard.plots import MEASURES, _ends, _figure, plot, selected, series, stated
from ucbench.results.columns import COLUMNS, PLOT_AXES, PLOTTED
from ucbench.results.gate import gates
from ucbench.results.table import rows

pytest.importorskip("matplotlib", reason="plots are made with matplotlib: pip install 'ucbench[plot]'")


def table():
    """Two labelings, a poisoner with craft labels and one without."""
    records = []
    for labeling, shift in (("original", 0.0), ("kmeans:k=10", 10.0)):
        options = {"labeling": labeling}
        records += boards.rows_of({"clean": [90, 92], "sham": [89, 91]}, **options)
        records += boards.rows_of({"uc": [40 + shift, 44 + shift]}, **options)
        records += boards.rows_of({"lsp": [20 + shift, 30 + shift]}, craft_labels="original", **options)
        records += boards.rows_of({"lsp": [60, 60]}, craft_labels="clusters:k=10", **options)
    return rows(records)


def test_series_refuse_rows_of_one_exploiter_with_other_numerics():
    mixed = rows([boards.record("uc", 0, 40), boards.elsewhere(boards.record("uc", 1, 50))])
    with pytest.raises(DataError, match="cannot be averaged"):
        series(mixed, "labeling", "test_accuracy")


def test_series_group_rows_by_mark():
    drawn = {one.name: one.points for one in series(table(), "labeling", "test_accuracy")}
    assert set(drawn) == {"clean", "sham", "uc", "lsp, labels original", "lsp, labels clusters:k=10"}
    uc = drawn["uc"]["kmeans:k=10"]
    assert (uc.mean, uc.n) == (52, 2)
    assert uc.half == pytest.approx(12.706 * 2, rel=1e-3)  # Student's quantile, and the standard error of 50 and 54


def test_series_put_references_first():
    assert [one.name for one in series(table(), "labeling", "test_accuracy")][:2] == ["clean", "sham"]


def test_series_names_distinguish_what_the_axis_does_not():
    names = {one.name for one in series(table(), "defense", "test_accuracy")}
    assert {"uc, labeling original", "uc, labeling kmeans:k=10"} <= names


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ("a", {"clusters:k=10", "predicted"}),
        ("ab", {"clusters:k=10,model=a", "clusters:k=10,model=b", "predicted:model=a"}),
    ],
)
def test_series_name_the_craft_label_model_when_there_are_two(models, names):
    craft_labels = [*(f"clusters:k=10,model={model}" for model in models), "predicted:model=a"]
    table = rows(
        [one for labels in dict.fromkeys(craft_labels) for one in boards.rows_of({"uc": [40]}, craft_labels=labels)]
    )
    assert {one.name for one in series(table, "labeling", "test_accuracy")} == {f"uc, labels {name}" for name in names}


def test_radius_does_not_split_the_clean_series():
    both = rows(
        boards.rows_of({"clean": [90, 91]})
        + boards.rows_of({"uc": [40, 42]}, epsilon=8.0)
        + boards.rows_of({"uc": [20, 22]}, epsilon=16.0)
    )
    names = {one.name for one in series(both, "defense", "test_accuracy")}
    assert names == {"clean", "uc, epsilon 8.0", "uc, epsilon 16.0"}


def test_shares_are_plotted_in_percent():
    (found,) = (one for one in series(table(), "labeling", "gap_removed") if one.name == "uc")
    # (90 - 40) of (90 - 10), and (92 - 44) of (92 - 10).
    assert found.points["original"].mean == pytest.approx(100 * (50 / 80 + 48 / 82) / 2)


def test_trainings_on_one_release_are_averaged():
    twice = [*boards.rows_of({"uc": [40, 60]}), boards.record("uc", 0, 50.0, train_seed=7)]
    (found,) = series(rows(twice), "labeling", "test_accuracy")
    assert (found.points["original"].mean, found.points["original"].n) == (52.5, 2)


def test_presets_are_separate_on_the_poisoner_axis():
    both = boards.rows_of({"uc": [40]}) + boards.rows_of({"uc": [70]}, preset="quick")
    (found,) = series(rows(both), "poisoner", "test_accuracy")
    assert {place: value.mean for place, value in found.points.items()} == {"uc": 40, "uc @quick": 70}


def test_interval_is_missing_for_one_seed():
    (found,) = series(rows(boards.rows_of({"uc": [40]})), "labeling", "test_accuracy")
    assert math.isnan(found.points["original"].half)


@pytest.mark.parametrize(("accuracies", "dots"), [([40], []), ([40, 44], [40, 44]), ([40, 44, 48], [])])
@pytest.mark.parametrize("by", ["labeling", "poisoner", "epsilon"])
def test_two_crafts_are_a_mean_and_both_values_without_a_whisker(by, accuracies, dots):
    measure = "test_accuracy"
    figure = _figure(series(rows(boards.rows_of({"uc": accuracies})), by, measure), by, measure, "")
    (axes,) = figure.axes
    shown = [value for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 3
             for value in line.get_ydata()]  # fmt: skip
    assert shown == pytest.approx(dots)
    bars = [bar for one in axes.collections for bar in one.get_segments() if len(bar)]
    assert len(bars) == (len(accuracies) > 2)
    (legend,) = figure.legends
    assert ("dots: both of two values" in [text.get_text() for text in legend.get_texts()]) == bool(dots)


@pytest.mark.parametrize(
    ("by", "ending"), [("labeling", "png"), ("labeling", "pdf"), *((by, "svg") for by in PLOT_AXES)]
)
def test_plot_files_are_byte_identical_for_equal_rows(tmp_path, by, ending):
    one, other = tmp_path / f"one.{ending}", tmp_path / f"other.{ending}"
    for path in (one, other):
        plot(table(), path, by=by, measure="test_accuracy", title="a title")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("measure", PLOTTED)
def test_measures_are_result_columns(measure):
    assert measure in COLUMNS


def test_plot_legend_names_every_series(tmp_path):
    plot(table(), tmp_path / "a.svg", by="labeling", measure="test_accuracy", title="Some & title")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    for name in ("lsp, labels clusters:k=10", "kmeans:k=10", "Some &amp; title", "clean test accuracy, %"):
        assert f">{name}</text>" in text


def test_names_with_numbers_are_sorted_numerically(tmp_path):
    accuracies = {
        name: [50] for name in ("uc:clusters=100", "lsp", "uc:clusters=20", "uc:clusters=5", "uc:clusters=2.5")
    }
    out = tmp_path / "clusters.svg"
    plot(rows(boards.rows_of(accuracies)), out, by="poisoner", measure="test_accuracy", title="")
    drawn = [line for line in re.findall(r">([^<>]+)</text>", out.read_text("utf-8")) if line in accuracies]
    numbered = [name for name in drawn if name != "lsp"]
    assert numbered == ["uc:clusters=2.5", "uc:clusters=5", "uc:clusters=20", "uc:clusters=100"]
    assert drawn[0] == "lsp" or drawn[-1] == "lsp"


def test_long_title_is_wrapped(tmp_path):
    words = [f"word{number}" for number in range(40)]
    plot(table(), tmp_path / "a.svg", by="labeling", measure="test_accuracy", title=" ".join(words))
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    lines = re.findall(r">(word[^<>]*)</text>", text)
    assert " ".join(lines).split() == words
    assert 1 < len(lines) < 20


def test_conditions_select_rows():
    assert set(selected(table(), ["labeling=original"])["labeling"]) == {"original"}
    both = selected(table(), ["poisoner=uc", "poisoner=sham", "labeling=original"])
    assert set(both["poisoner"]) == {"uc", "sham"}
    assert set(selected(table(), ["epsilon=8"])["epsilon"]) == {8.0}
    assert set(selected(table(), ["craft_seed="])["poisoner"]) == {"clean"}


@pytest.mark.parametrize(
    ("conditions", "text"),
    [(["labeling"], "COLUMN=VALUE"), (["labels=a"], "COLUMN=VALUE"), (["labeling=fine"], "No row has labeling=fine")],
)
def test_conditions_that_select_nothing_raise(conditions, text):
    with pytest.raises(UsageError, match=text):
        selected(table(), conditions)


def test_plot_raises_on_what_cannot_be_drawn(tmp_path):
    with pytest.raises(UsageError, match="--by is one of"):
        series(table(), "seed", "test_accuracy")
    with pytest.raises(UsageError, match="--measure is one of"):
        series(table(), "labeling", "accuracy")
    with pytest.raises(DataError, match="No row has perturbed"):
        series(table(), "labeling", "perturbed_test_accuracy")
    with pytest.raises(UsageError, match="has to end in one of"):
        plot(table(), tmp_path / "a.docx", by="labeling", measure="test_accuracy", title="")


def test_plot_command_draws_a_folder(tmp_path, capsys):
    boards.folder(tmp_path, boards.rows_of({"clean": [90, 92], "uc": [40, 44]}))
    assert main(["leaderboard", "plot", str(tmp_path), "--by", "labeling"]) == 0
    assert (tmp_path / "labeling.png").read_bytes().startswith(b"\x89PNG")
    assert "labeling.png" in capsys.readouterr().out
    assert main(["leaderboard", "plot", str(tmp_path), "--by", "seeds"]) == 2
    assert main(["leaderboard", "plot", str(tmp_path / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("measure", ["gap_removed", "drop_sham"])
def test_effects_are_drawn_of_settings_that_passed_the_gate(measure):
    passed = [*boards.rows_of({"clean": [89.0, 91.0, 89.0, 91.0]}), *boards.judging(), *boards.rows_of({"uc": [20.0]})]
    everything = rows([*passed, *boards.rows_of({"uc": [15.0]}, epsilon=16.0)])
    kept = stated(everything, measure, gates(everything))
    assert set(kept["epsilon"]) == {8.0}
    assert "uc" in set(kept["poisoner"])
    assert stated(everything, "test_accuracy", gates(everything)) is everything


def test_plot_command_refuses_an_effect_where_no_setting_passed_the_gate(tmp_path, capsys):
    boards.folder(tmp_path, boards.rows_of({"clean": [90, 92], "sham": [89, 91], "uc": [40, 44]}))
    assert main(["leaderboard", "plot", str(tmp_path), "--measure", "gap_removed"]) == 1
    assert "No setting passed the gate" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def many(labelings: int, poisoners: int):
    return rows(
        [
            one
            for labeling in range(labelings)
            for one in boards.rows_of(
                {"clean": [90, 91], "sham": [89, 90], **{f"p{number}": [40, 50] for number in range(poisoners)}},
                labeling=f"merge:groups={labeling}",
            )
        ]
    )


@pytest.mark.parametrize(
    ("labelings", "poisoners", "count"),
    [(1, 6, 1), (4, 6, 4), (12, 1, 5), (4, 7, 8), (1, 40, 7)],
)
def test_panels_hold_at_most_eight_series_and_every_series(labelings, poisoners, count):
    drawn = series(many(labelings, poisoners), "defense", "test_accuracy")
    divided = panels(drawn)
    assert max(len(panel.series) for panel in divided) <= 8
    found = [id(one) for panel in divided for one in panel.series.values()]
    assert {id(one) for one in drawn} == set(found)
    assert len(divided) == count


def test_panels_by_labeling_have_its_references_and_say_the_labeling_once():
    divided = panels(series(many(3, 5), "defense", "test_accuracy"))
    assert [panel.title for panel in divided] == [f"labeling merge:groups={number}" for number in range(3)]
    assert all(list(panel.series) == ["clean", "sham", "p0", "p1", "p2", "p3", "p4"] for panel in divided)


def test_panels_by_budget_repeat_the_clean_series():
    made = boards.rows_of({"clean": [90, 91]})
    for epsilon in (8.0, 16.0):
        made += boards.rows_of({"sham": [89, 90], **{f"p{number}": [40, 50] for number in range(6)}}, epsilon=epsilon)
    divided = panels(series(rows(made), "defense", "test_accuracy"))
    assert [panel.title for panel in divided] == ["epsilon 8.0", "epsilon 16.0"]
    assert all(list(panel.series)[:2] == ["clean", "sham"] for panel in divided)


def test_plot_has_the_marks_of_its_poisoners_and_no_ground(tmp_path):
    plot(table(), tmp_path / "a.svg", by="labeling", measure="test_accuracy", title="")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    for poisoner in ("uc", "lsp", "clean"):
        assert f"stroke: {mark_of(poisoner).colour}" in text
    assert "fill: #ffffff" not in text


@pytest.mark.parametrize("left", [40, 90, 99])
def test_plot_contains_every_mean(left):
    """A release that helps the exploiter removes less than nothing of the gap."""
    table = rows(boards.rows_of({"clean": [60, 60], "sham": [60, 60], "uc": [left, left], "lsp": [5, 5]}))
    drawn = series(table, "labeling", "gap_removed")
    means = [point.mean for one in drawn for point in one.points.values()]
    low, high = _ends(MEASURES["gap_removed"], drawn)
    assert low < min(means) <= max(means) < high
    assert (low == -15) == (left == 40)


def test_plot_contains_both_of_two_values():
    """Of the gap of 50, one release leaves 25 more than clean images do, and the other removes 25."""
    table = rows(boards.rows_of({"clean": [60, 60], "sham": [60, 60], "uc": [85, 35]}))
    low, high = _ends(MEASURES["gap_removed"], series(table, "labeling", "gap_removed"))
    assert low < -50
    assert high == 105
