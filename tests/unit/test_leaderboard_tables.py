"""Leaderboards as files: who is ranked against whom, and that they follow from the records."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import boards
import pytest

from ucbench.errors import DataError
from ucbench.leaderboard.tables import build, differences, files

#: Accuracy by poisoner and defense; seeds differ by a point each.
ACCURACY = {
    "clean": {"none": 90, "jpeg": 80},
    "sham": {"none": 88, "jpeg": 79},
    "positive": {"none": 12, "jpeg": 15},
    "uc": {"none": 40, "jpeg": 60},
    "eminn": {"none": 20, "jpeg": 75},
    "lsp": {"none": 15, "jpeg": 30},
    "rand-class:pattern=sign": {"none": 11, "jpeg": 85},
}
ACCESS = {"eminn": "full", "lsp": "full", "positive": "full", "rand-class:pattern=sign": "full"}
TITLE = "trial v1"


def record(poisoner: str, defense: str, seed: int, **request) -> dict:
    return boards.record(
        poisoner, seed, ACCURACY[poisoner][defense] + seed, defense, victim="resnet18",
        access=ACCESS.get(poisoner, "none"), oracle=poisoner == "positive", **request,
    )  # fmt: skip


def records(seeds: int = 4) -> list[dict]:
    return [
        record(poisoner, defense, seed)
        for poisoner, defenses in ACCURACY.items()
        for defense, seed in itertools.product(defenses, range(seeds))
    ]


def table(found: list[dict], defenses=("none", "jpeg")) -> list[dict]:
    return list(csv.DictReader(files(found, defenses, TITLE)["leaderboard.csv"].splitlines()))


def test_board_of_clean_rows_says_that_no_poisoner_was_measured():
    clean = [record("clean", "none", seed) for seed in range(3)]
    assert "No poisoner was measured" in files(clean, ("none",), TITLE)["README.md"]


def test_poisoners_are_ranked_by_worst_case_within_label_access():
    found = {(line["label_access"], line["poisoner"]): line for line in table(records())}
    assert {name: line["rank"] for name, line in found.items()} == {
        ("none", "uc"): "", ("none", "sham"): "",  # uc has no other to be ranked among
        ("full", "lsp"): "1", ("full", "eminn"): "2", ("full", "rand-class:pattern=sign"): "3",
        ("full", "positive"): "",
    }  # fmt: skip
    uc = found["none", "uc"]
    assert (uc["worst"], uc["worst_defense"], uc["no_defense"], uc["seeds"], uc["exploratory"]) == (
        "61.50", "jpeg", "41.50", "4", "no"
    )  # fmt: skip
    # The exploiter's best on clean images is without defense: 90 to 93.
    assert float(uc["effect"]) == pytest.approx(sum(30 / (80 + s) for s in range(4)) / 4, abs=1e-4)


def test_readme_tells_the_blocks_of_a_setting_apart_and_states_its_gate_once():
    readme = files(records(), ("none", "jpeg"), TITLE)["README.md"]
    first, second, _ = (line for line in readme.splitlines() if line.startswith("## "))
    assert (first.rpartition(", ")[2], second.rpartition(", ")[2]) == ("label access none", "label access full")
    assert readme.count("Gate (`positive`): passed.") == readme.count("Gate: as above.") == 1
    assert readme.index("passed.") < readme.index(second) < readme.index("Gate: as above.")


def test_readme_has_figure_and_verdict_above_its_tables_and_their_terms_below():
    readme = files(records(), ("none", "jpeg"), TITLE)["README.md"]
    title, figure, shown, *_ = readme.split("\n\n")
    assert (title, figure[:2]) == (f"# {TITLE}", "![")
    assert shown.startswith("The figure shows the accuracy")
    assert shown.endswith("The gate is passed.")
    tables, legend = readme.split("\n## How to read the tables\n")
    assert "\n- " not in tables
    assert "|---|" not in legend
    assert {"Rank", "Bias", "Effect", "n", "sham"} <= terms(legend)


def test_legend_explains_only_what_the_tables_have():
    unjudged = files(boards.rows_of({"uc": [40]}), ["none"], TITLE)["README.md"]
    assert not {"Rank", "Bias", "Effect", "±", "SD", "clean", "sham", "positive"} & terms(unjudged)
    assert {"Gate", "Label knowledge", "n"} <= terms(unjudged)
    assert "of clean rows" not in unjudged
    assert "* marks fewer than 4" in unjudged
    assert "* marks" not in files(records(), ["none", "jpeg"], TITLE)["README.md"]


def test_two_crafts_are_shown_by_both_values_and_not_by_an_interval():
    readme = files(boards.rows_of({"clean": [90, 92], "uc": [40, 42]}), ["none"], TITLE)["README.md"]
    assert "| 41.0 (40.0, 42.0) |" in readme
    assert "| 91.0 (90.0, 92.0) |" in readme
    assert not any(text in readme for text in ("±", "with 95 % intervals"))
    assert "Parentheses" in terms(readme)
    assert "Parentheses" not in terms(files(records(), ["none", "jpeg"], TITLE)["README.md"])


def terms(legend: str) -> set[str]:
    return {line[2:].partition(": ")[0] for line in legend.splitlines() if line.startswith("- ")}


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((), "The gate is passed."),
        ((16.0,), "The gate is passed in 1 of 2 settings (1 not judged): only the tables of passed settings say"),
    ],
)
def test_readme_counts_the_settings_that_passed_the_gate(others, verdict):
    more = [record("uc", "none", seed, epsilon=epsilon) for epsilon in others for seed in range(4)]
    assert f" {verdict}" in files([*records(), *more], ["none"], TITLE)["README.md"]


def test_readme_says_that_numbers_without_a_passed_gate_say_nothing():
    alone = [record("uc", "none", seed, epsilon=epsilon) for epsilon in (8.0, 16.0) for seed in range(4)]
    assert (
        " No setting passed the gate (2 not judged): the numbers say nothing"
        in files(alone, ["none"], TITLE)["README.md"]
    )
    assert " The gate was not judged: the numbers say nothing" in files(alone[:4], ["none"], TITLE)["README.md"]


def test_guess_and_purity_stand_beside_a_poisoner_as_means_over_crafts():
    found = boards.rows_of({"uc": [40, 50], "rand-sample": [70, 72]})
    for one, guess, purity in zip(found, (30, 40, 10, 12), (0.6, 0.7, None, None), strict=True):
        one["metrics"]["guess_accuracy"] = float(guess)
        if purity:
            one["notes"] = {"exploiter_labels_in_groups": {"purity": purity, "relative_purity": 1.0, "groups": 20}}
    uc, sample = sorted(table(found), key=lambda line: line["poisoner"], reverse=True)
    assert (uc["guess_accuracy"], uc["purity"]) == ("35.00", "65.00")
    assert (sample["guess_accuracy"], sample["purity"]) == ("11.00", "")
    readme = files(found, ["none"], TITLE)["README.md"]
    assert "| 35.0 | 65.0 |" in readme
    assert {"Guess", "Purity"} <= terms(readme)


def versions(found: list[dict]) -> str:
    lines = files(found, ["none"], TITLE)["README.md"].splitlines()
    return "".join(line.removeprefix("- Versions: ").partition(". Where")[0] for line in lines if "Versions" in line)


def test_readme_states_the_versions_that_its_rows_were_measured_with():
    """Of an earlier version or of a component that is not installed alike, since they follow from the records alone."""
    found = [*boards.rows_of({"clean": [90, 91]}), *boards.rows_of({"uc": [40, 50]}, "jpeg"), record("lsp", "none", 0)]
    assert versions(found) == "all poisoners, surrogates, labelings, defenses and victims 1"
    for one in found:
        name = one["request"]["poisoner"]
        one["components"] |= {"poisoner": {**boards.component(name), "version": {"uc": 2, "lsp": 7}.get(name, 1)}}
        one["components"] |= {"dataset": {**boards.component("digits"), "version": 5}}
        if name == "uc":
            defense = {**boards.component("elsewhere"), "version": 3 + one["request"]["craft_seed"]}
            one["components"] |= {"defense-1": defense}
    found[-1] = boards.failed(found[-1])
    assert versions(found) == (
        "defense `elsewhere` 3 and 4, poisoner `uc` 2;"
        " all other poisoners, surrogates, labelings, defenses and victims 1"
    )


def test_versions_leave_out_records_that_a_later_version_replaced():
    earlier, later = boards.record("uc", 0, 40), boards.elsewhere(boards.record("uc", 0, 30), dtype="float32")
    for version, one in ((1, earlier), (2, later)):
        one["components"] = {"poisoner": {**boards.component("uc"), "version": version}}
    assert earlier["cell"] != later["cell"]
    assert versions([earlier, later]) == "poisoner `uc` 2"


def test_worst_case_is_shown_where_no_ranked_defense_helps_an_exploiter():
    found = [*boards.rows_of({"uc": [40, 50]}), *boards.rows_of({"uc": [20, 30]}, "jpeg")]
    readme = files(found, ["none", "jpeg"], TITLE)["README.md"]
    assert "| poisoner | label knowledge | worst case % | bias | no defense % | best defense | n |" in readme
    assert "worst case %" not in files(found, ["none"], TITLE)["README.md"]


def test_worst_case_is_stated_with_its_selection_bias():
    """Both defenses help on two crafts and fail on two: what two neighbours choose fails on the other two."""
    found = [*boards.rows_of({"uc": [40, 40, 20, 20]}), *boards.rows_of({"uc": [10, 10, 50, 52]}, "jpeg")]
    (uc,) = table(found)
    # Crafts 0 and 1 choose none, 20 on the rest; 1 and 2 none, 30; 2 and 3 jpeg, 10; 3 and 0 jpeg, 30.
    expected = 30.5 - (20 + 30 + 10 + 30) / 4
    assert (uc["worst"], uc["worst_defense"]) == ("30.50", "jpeg")
    assert float(uc["worst_bias"]) == pytest.approx(expected, abs=0.01)
    assert f"up to {expected:.1f} points (bias)" in files(found, ("none", "jpeg"), TITLE)["README.md"]


def test_victim_that_trains_itself_is_ranked_over_the_defenses_it_can_use_and_says_so():
    of = {"victim": "simclr", "trusted": 200}
    ranked = ("none", "jpeg", "cutmix")
    found = [
        *boards.rows_of({"clean": [90, 91, 92, 93], "uc": [40, 41, 42, 43]}, **of),
        *boards.rows_of({"clean": [80, 81, 82, 83], "uc": [60, 61, 62, 63]}, "jpeg", **of),
    ]
    (uc,) = table(found, ranked)
    assert (uc["worst"], uc["missing"]) == ("61.50", "")
    readme = files(found, ranked, TITLE)["README.md"]
    assert "cannot use cutmix: ranked over the others." in readme
    (uc,) = table([one for one in found if one["request"]["defense"] == "none"], ranked)
    assert (uc["worst"], uc["missing"]) == ("", "jpeg")
    (uc,) = table(boards.rows_of({"clean": [90], "uc": [40]}), ranked)
    assert uc["missing"] == "jpeg+cutmix"


def test_block_without_passed_gate_has_no_rank_and_no_effect_and_says_why():
    weak = [one for one in records() if not one["request"]["poisoner"].startswith("rand-class")]
    lines = table(weak)
    assert {(line["gate"], line["rank"], line["effect"], line["effect_half"]) for line in lines} == {
        ("not judged", "", "", "")
    }
    assert all(line["worst"] for line in lines)
    readme = files(weak, ("none", "jpeg"), TITLE)["README.md"]
    assert readme.count("No ranks and no effects. Gate (`positive`): not judged in full.") == 1
    assert readme.count("Gate: as above.") == 1
    assert "rand-class:pattern=sign not run (open)" in readme
    alone = [one for one in records() if one["request"]["poisoner"] in ("clean", "uc")]
    assert "because `positive` was not run" in files(alone, ("none",), TITLE)["README.md"]


def test_block_without_passed_gate_is_ordered_by_name():
    full = [line["poisoner"] for line in table(records()[:-8]) if line["label_access"] == "full"]
    assert full[:2] == ["eminn", "lsp"]
    full = [line["poisoner"] for line in table(records()) if line["label_access"] == "full"]
    assert full[:2] == ["lsp", "eminn"]


def test_trainings_are_nested_and_paired_with_clean_rows_of_their_train_seeds():
    """Three trainings of each release, with train seeds of its own: the effect pairs crafts, not equal numbers."""
    nested = [
        record(poisoner, "none", train, craft_seed=None if poisoner == "clean" else train // 3)
        for poisoner in ("clean", "sham", "positive", "uc", "rand-class:pattern=sign")
        for train in range(12)
    ]
    uc = next(line for line in table(nested, ["none"]) if line["poisoner"] == "uc")
    # Accuracies are 40 and 90 plus the train seed, so each craft removes 50 of its own gap.
    gaps = [80 + 3 * craft + 1 for craft in range(4)]
    assert (uc["seeds"], uc["trainings"], uc["no_defense"]) == ("4", "3", "45.50")
    assert float(uc["effect"]) == pytest.approx(sum(50 / gap for gap in gaps) / 4, abs=1e-4)
    # Trainings 0, 1, 2 have SD 1; craft means 1, 4, 7, 10 have variance 15, of which 1/3 is the trainings'.
    assert (uc["training_sd"], uc["craft_sd"]) == ("1.00", f"{(15 - 1 / 3) ** 0.5:.2f}")
    assert "4 x 3; SD 3.8 crafts, 1.0 trainings" in files(nested, ["none"], TITLE)["README.md"]


def test_undefended_rows_count_even_if_the_suite_does_not_list_them():
    lines = {line["poisoner"]: line for line in table(records(), ["jpeg"])}
    assert lines["sham"]["worst_defense"] == "none"


def test_missing_ranked_defense_leaves_no_worst_case_and_no_rank():
    kept = [r for r in records() if (r["request"]["poisoner"], r["request"]["defense"]) != ("uc", "jpeg")]
    uc = next(line for line in table(kept) if line["poisoner"] == "uc")
    assert (uc["rank"], uc["worst"], uc["missing"], uc["no_defense"]) == ("", "", "jpeg", "41.50")


def test_failed_cells_count_as_missing():
    missing = ("uc", "jpeg")
    found = [
        boards.failed(one) if (one["request"]["poisoner"], one["request"]["defense"]) == missing else one
        for one in records()
    ]
    assert next(line for line in table(found) if line["poisoner"] == "uc")["missing"] == "jpeg"


def test_ranked_defense_that_lacks_a_craft_is_missing_and_leaves_no_rank():
    lost = record("lsp", "jpeg", 2)["cell"]
    found = [boards.failed(one) if one["cell"] == lost else one for one in records()]
    lsp = next(line for line in table(found) if line["poisoner"] == "lsp")
    assert (lsp["rank"], lsp["worst"], lsp["effect"], lsp["missing"]) == ("", "", "", "jpeg")


def test_mean_over_defenses_gives_each_the_same_weight_however_many_crafts_it_has():
    found = [
        one for one in records() if one["request"]["defense"] == "none" or one["request"]["craft_seed"] in (None, 0)
    ]
    uc = next(line for line in table(found) if line["poisoner"] == "uc")
    assert (uc["missing"], uc["no_defense"], uc["mean_over_defenses"]) == ("jpeg", "41.50", "50.75")


def test_tables_separate_budgets_and_labelings():
    names = ("lsp", "sham", "positive", "rand-class:pattern=sign")
    other = [record(name, d, s, epsilon=16.0) for name in names for d in ("none", "jpeg") for s in range(4)]
    for one in other:
        one["cell"] = "x" + one["cell"][1:]
    lines = [line for line in table(records() + other) if line["poisoner"] == "lsp"]
    assert [(line["epsilon"], line["rank"]) for line in lines] == [("8", "1"), ("16", "1")]


@pytest.mark.parametrize(
    ("world", "named"),
    [
        ({}, ("dtype bfloat16", "dtype float32")),
        ({"dtype": "float32", "train": "c" * 64}, ("training images aaaaaaaa", "training images cccccccc")),
    ],
    ids=["numerics", "images"],
)
@pytest.mark.parametrize("poisoner", ["clean", "uc"])
def test_tables_refuse_records_of_one_exploiter_with_other_numerics_or_images(poisoner, world, named):
    other = boards.elsewhere(record(poisoner, "none", 0, craft_seed=None if poisoner == "clean" else 9), **world)
    with pytest.raises(DataError, match="cannot be averaged") as caught:
        files([*records(), other], ["none"], TITLE)
    assert all(one in str(caught.value) for one in named)
    assert "Move those of one kind" in str(caught.value)
    assert files([*records(), boards.failed(other)], ["none"], TITLE)


def test_tables_mark_fewer_than_four_seeds():
    assert {line["exploratory"] for line in table(records(3))} == {"yes"}
    assert "| 3 x 1* |" in files(records(3), ["none", "jpeg"], TITLE)["README.md"]


def test_table_files_are_independent_of_record_order(tmp_path: Path):
    (tmp_path / "records").mkdir()
    for one in records():
        (tmp_path / "records" / f"{one['cell']}.json").write_text(json.dumps(one))
    build(tmp_path, ["none", "jpeg"], TITLE)
    assert files(records()[::-1], ["none", "jpeg"], TITLE) == {
        name: (tmp_path / name).read_text() for name in ("results.csv", "leaderboard.csv", "README.md", "accuracy.svg")
    }
    assert differences(tmp_path, ["none", "jpeg"], TITLE) == []
    board = tmp_path / "leaderboard.csv"
    board.write_text(board.read_text().replace("61.50", "11.50"))
    assert differences(tmp_path, ["none", "jpeg"], TITLE) == ["leaderboard.csv"]
    figure = tmp_path / "accuracy.svg"
    figure.write_text(figure.read_text().replace("41.5 ± ", "11.5 ± "))
    assert differences(tmp_path, ["none", "jpeg"], TITLE) == ["leaderboard.csv", "accuracy.svg"]


def test_readme_has_the_clean_row_of_its_exploiter_in_every_block():
    lines = [line for line in files(records(), ["none", "jpeg"], TITLE)["README.md"].splitlines() if "`clean`" in line]
    # Accuracies are 90 to 93 without defense, the exploiter's best. Alone among its kind, uc has no rank.
    row = "| `clean` |  | 91.5 ± 2.1 |  |  | 91.5 ± 2.1 | none | 4 |"
    assert lines == [row, f"|  {row}"]


def test_board_without_measured_poisoners_has_no_figure():
    made = files(boards.rows_of({"clean": [90, 91]}), ["none"], TITLE)
    assert set(made) == {"results.csv", "leaderboard.csv", "README.md"}
    assert "![" not in made["README.md"]


def test_tables_raise_on_a_folder_without_records(tmp_path):
    with pytest.raises(DataError, match="There are no records in"):
        build(tmp_path, ["none"], TITLE)
