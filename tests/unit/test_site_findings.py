"""What the site says of a board in sentences and in its charts: only what its gate and all crafts carry."""

from __future__ import annotations

import re

import boards
import site_records as made
from site_pages import RANKED

from ucbench.leaderboard.forest import forest
from ucbench.leaderboard.site import charts
from ucbench.leaderboard.site.charts import protectors
from ucbench.leaderboard.site.collecting import collect
from ucbench.leaderboard.site.listings import board_table
from ucbench.results.columns import SETTING


def lacking(*lost: dict) -> list[dict]:
    """The records of the board without these cells."""
    cells = {one["cell"] for one in lost}
    return [record for record in made.board() if record["cell"] not in cells]


#: One craft of a ranked defense.
LOST = made.record("lsp", defense="jpeg", seed=2)


def test_finding_names_the_leader_only_as_far_as_it_is_separated():
    data = collect(made.board(), "x", RANKED)
    unlabelled, labelled, clean = data.finding.sentences
    assert unlabelled.startswith(
        "Without knowing labels, uc is the only poisoner: with the one ranked defense, jpeg, an exploiter reaches "
    )
    assert labelled.startswith(f"Knowing labels, {made.SECOND} protects best of 2:")
    assert re.fullmatch(r"Without defense, .* 91.5 ± [\d.]+ % on clean images.*; chance is 10.0 %\.", clean)
    equal = [made.record("lsp", defense=d, seed=s, accuracy=13.0 + (s % 3)) for d in RANKED for s in range(4)]
    others = [record for record in made.board() if record["request"]["poisoner"] != "lsp"]
    assert ", not separated from " in collect([*others, *equal], "x", RANKED).finding.sentences[1]


def test_finding_names_no_defense_where_the_victim_can_use_none_of_the_ranked():
    records = [
        *boards.rows_of({"clean": [90, 91, 90, 92], "uc": [40, 41, 42, 41]}, victim="keras"),
        *boards.judging(victim="keras"),
    ]
    (text, *_) = collect(records, "x", ("none", "cutmix")).finding.sentences
    assert text.startswith("Without knowing labels, uc is the only poisoner: an exploiter without defense reaches 41.0")


def test_finding_says_that_the_ranked_defenses_do_not_help():
    weaker = [
        made.record(name, defense=defense, seed=seed, accuracy=accuracy - 20 + seed)
        for name, accuracy in {"clean": 90.0, "uc": 40.0}.items()
        for defense in ("jpeg", "cutmix")
        for seed in range(4)
    ]
    kept = [r for r in made.board() if r["request"]["defense"] == "none" and r["request"]["poisoner"] != "lsp"]
    (text, *_) = collect([*kept, *weaker], "x", RANKED).finding.sentences
    assert re.search(r"an exploiter without defense reaches 4.*; the one ranked defense, jpeg, does not help\.$", text)
    (text, *_) = collect([*kept, *weaker], "x", ("none", "jpeg", "cutmix")).finding.sentences
    assert text.endswith("; none of the 2 ranked defenses helps.")


def test_finding_names_a_defense_above_the_ranked_ones_that_is_not_ranked():
    others = [made.record("uc", defense="cutmix", seed=seed, accuracy=80.0) for seed in range(4)]
    (text, *_) = collect([*made.board(), *others], "x", RANKED).finding.sentences
    assert text.endswith("; with cutmix, not ranked: 80.0 %.")
    (text, *_) = collect([*made.board(), *others], "x", (*RANKED, "cutmix")).finding.sentences
    assert "not ranked" not in text


def test_finding_of_two_crafts_has_both_accuracies_instead_of_an_interval():
    records = boards.rows_of({"clean": [90, 92], "uc": [40, 44]})
    (text,) = collect(records, "x", ("none",)).finding.accuracies
    assert "reaches 42.0 (40.0, 44.0) %" in text


def test_finding_compares_no_poisoner_that_lacks_a_craft_of_a_ranked_defense():
    labelled = collect(lacking(LOST), "x", RANKED).finding.sentences[1]
    assert labelled.startswith(f"Knowing labels, {made.SECOND} is the only poisoner with every ranked defense:")
    others = [made.record(name, defense="none", seed=1) for name in ("uc", made.SECOND)]
    (text,) = collect(lacking(LOST, *others), "x", RANKED).finding.sentences
    assert text.endswith("Every poisoner here is a reference or lacks a ranked defense.")


def test_finding_says_nothing_of_methods_without_a_passed_gate():
    records = [record for record in made.board() if record["request"]["poisoner"] != made.SECOND]
    found = collect(records, "x", RANKED).finding
    assert found.state == "not judged"
    (text,) = found.sentences
    assert "Inconclusive" in text
    assert f"{made.SECOND} not run" in text
    assert "uc" not in text


def test_chart_of_effect_against_cost_has_no_poisoner_missing_a_craft_of_a_ranked_defense():
    (setting,) = collect(lacking(LOST), "x", RANKED).settings
    assert [one.name for one in protectors(setting)] == ["uc", "rand-class"]
    (setting,) = collect(lacking(LOST), "x", None).settings
    assert [one.name for one in protectors(setting)] == ["uc", "rand-class", "lsp"]


def test_site_draws_the_rows_of_the_forest_plot_in_their_order():
    # Without defense lsp comes before the other, with jpeg behind it.
    weak = [
        made.record("lsp", defense=d, seed=s, accuracy=a + s)
        for d, a in (("none", 1.0), ("jpeg", 60.0))
        for s in range(4)
    ]
    data = collect([*(one for one in made.board() if one["request"]["poisoner"] != "lsp"), *weak], "x", RANKED)
    (setting,) = data.settings
    shared = dict(zip(SETTING, setting.values, strict=True))
    drawn = forest(data.table, shared, board=data.blocks, verdicts=setting.gates)
    shown = {heading: rows for _, heading, rows in charts.forest(setting, "../").parts}
    labels = {heading: [row.label for row in rows] for heading, rows in shown.items()}
    assert labels == {title: [row.name for row in rows] for title, rows in drawn.groups.items()}
    assert [(row.label, row.rank) for row in shown["With labels"]] == [("lsp", "2"), (made.SECOND, "1")]
    assert {row.kind for row in shown["References"]} == {"reference", "oracle"}


def test_board_table_has_every_knowledge_of_a_reference():
    shuffled = [
        made.record("shuffled:uc", seed=seed, accuracy=accuracy, craft_labels=labels)
        for labels, accuracy in (("clusters:k=10", 71.0), ("original", 72.0))
        for seed in range(4)
    ]
    table = board_table(collect([*made.board(), *shuffled], "x", RANKED), "poisoners")
    (place,) = (place for place, column in enumerate(table.columns) if column.key == "craft_labels")
    labels = [row.fields[place].text for row in table.rows if any(field.text == "shuffled:uc" for field in row.fields)]
    assert labels == ["clusters:k=10", "original"]
    references = [row for row in table.rows if row.kind == "reference"]
    assert len([row for row in references if any(field.text == "sham" for field in row.fields)]) == 1
