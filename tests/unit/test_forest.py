"""Forest plots: the numbers of the table, in the right group, and files that are the same every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import boards
import pytest

from ucbench.errors import DataError
from ucbench.leaderboard.entries import blocks
from ucbench.leaderboard.forest import forest, settings
from ucbench.leaderboard.forest_scene import forest_scene
from ucbench.leaderboard.gates import gates_of
from ucbench.leaderboard.marks import GREY, mark_of
from ucbench.leaderboard.scene import png
from ucbench.matrix.suite import GateRules
from ucbench.results.frame import results
from ucbench.results.statistics import t_interval
from ucbench.results.summary import summarise
from ucbench.results.table import rows

UC, LSP = (40.0, 44.0, 48.0, 41.0), (20.0, 30.0, 25.0, 22.0)


def records(judged: bool = True) -> list[boards.Record]:
    made = boards.rows_of({"clean": [90, 92, 91, 92], "uc": UC})
    made += boards.rows_of({"lsp": LSP}, craft_labels="original", access="full")
    made += boards.rows_of({"lsp": [60] * 4}, craft_labels="clusters:k=10,model=a", access="none")
    made += boards.rows_of({"one-for-all": [65] * 4}, access="names")
    made += boards.rows_of({"ops": [80] * 4}, craft_labels="original", access="full", norm="l0", epsilon=1.0)
    return made + (boards.judging() if judged else boards.rows_of({"sham": [89] * 4}))


def by_name(drawn) -> dict:
    return {row.name: row for row in drawn.rows}


def test_forest_numbers_are_those_of_the_summary():
    table = rows(records())
    drawn = by_name(forest(table))
    summaries = {one.shared["poisoner"]: one for one in summarise(table) if one.shared["poisoner"] != "lsp"}
    for name, row in drawn.items():
        base = name.partition(",")[0]
        if base in summaries:
            assert row.accuracy.interval == summaries[base].accuracy.interval
    assert tuple(drawn["uc"].accuracy.means.values()) == UC
    assert drawn["lsp"].accuracy.interval == t_interval(LSP)


def test_forest_refuses_rows_of_one_exploiter_with_other_numerics():
    with pytest.raises(DataError, match="cannot be averaged"):
        forest(rows([*records(), boards.elsewhere(boards.record("uc", 9, 50))]))
    elsewhere = boards.elsewhere(boards.record("uc", 9, 50, victim="vgg16"))
    assert forest(rows([*records(), elsewhere])).rows


def test_rows_are_grouped_by_label_knowledge():
    groups = {title: [row.name for row in members] for title, members in forest(rows(records())).groups.items()}
    assert groups == {
        "Without labels": ["uc", "lsp, clusters:k=10"],
        "With class names": ["one-for-all"],
        "With labels": ["rand-class:pattern=sign", "lsp"],
        "Other budgets": ["ops, l0 1"],
        "References": ["positive", "sham"],
    }


def test_lines_are_clean_accuracy_and_chance():
    drawn = forest(rows(records()))
    assert drawn.clean.interval.mean == 91.25
    assert drawn.chance == 10


def test_marks_are_the_poisoners_own_where_the_gate_is_passed():
    drawn = forest(rows(records()))
    assert drawn.note == ""
    assert by_name(drawn)["uc"].mark == mark_of("uc")


@pytest.mark.parametrize("judged", [True, False])
def test_forest_is_grey_with_a_note_and_by_name_without_a_passed_gate(judged):
    weak = [one for one in records(judged) if one["request"]["poisoner"] != "rand-class:pattern=sign"]
    drawn = forest(rows(weak))
    assert drawn.note.startswith("Inconclusive: the gate was not judged")
    assert {row.mark.colour for row in drawn.rows} == {GREY}
    assert [row.name for row in drawn.groups["Without labels"]] == ["lsp, clusters:k=10", "uc"]


def test_worst_case_is_that_of_the_board():
    made = records() + boards.rows_of({"clean": [90] * 4, "uc": [70, 72, 71, 73]}, "jpeg")
    table = rows(made)
    gates = gates_of(table, GateRules(), None)
    drawn = by_name(forest(table, board=blocks(table, ("none", "jpeg"), gates), verdicts=gates))
    assert drawn["uc"].worst == t_interval([70, 72, 71, 73])
    assert drawn["lsp"].worst is None
    assert drawn["uc"].accuracy.interval == t_interval(UC)


def test_settings_begin_with_that_of_most_poisoners():
    table = rows(records())
    assert [(one["norm"], one["epsilon"]) for one in settings(table)] == [("linf", 8), ("l0", 1)]
    (row,) = forest(table, settings(table)[1]).rows
    assert row.name == "ops"


def test_forest_of_a_runs_results_is_that_of_its_rows():
    assert forest_scene(forest(results(records()))) == forest_scene(forest(rows(records())))


def test_forest_without_poisoners_raises():
    with pytest.raises(DataError, match="nothing to draw"):
        forest(rows(boards.rows_of({"clean": [90]})))


def test_svg_is_text_without_external_references_and_the_same_every_time():
    text = forest_scene(forest(rows(records()))).svg()
    assert text == forest_scene(forest(rows(list(reversed(records()))))).svg()
    root = ElementTree.fromstring(text)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"uc", "lsp, clusters:k=10", "ops, l0 1", t_interval(UC).text(), "chance 10.0"} <= set(texts)
    assert "href" not in text
    assert "url(" not in text


def test_two_crafts_are_both_values_and_dots_without_a_bar():
    drawn = forest(rows(boards.rows_of({"clean": [90, 92], "uc": [40, 44]})))
    text = forest_scene(drawn).svg()
    assert ">42.0 (40.0, 44.0)<" in text
    assert "uc: 44.0 %" in text
    assert not re.search("±|95 %", text)
    colour = drawn.rows[0].mark.colour
    assert f'stroke="{colour}"' not in text


def test_svg_in_a_page_has_the_pages_colour():
    scene = forest_scene(forest(rows(records())))
    assert " color=" not in scene.svg(inline=True)
    assert " color=" in scene.svg()


def test_names_cannot_end_the_svg():
    hostile = rows(boards.rows_of({"clean": [90, 91], '</svg><script>"&': [50, 52]}))
    ElementTree.fromstring(forest_scene(forest(hostile)).svg())


def test_png_is_transparent_and_the_same_every_time():
    pytest.importorskip("matplotlib", reason="figures are drawn with matplotlib: pip install 'ucbench[plot]'")
    scene = forest_scene(forest(rows(records())))
    assert scene.figure().get_facecolor()[3] == 0
    assert png(scene.figure()) == png(scene.figure())
