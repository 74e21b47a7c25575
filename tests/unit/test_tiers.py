"""The worst case within each tier: what counts, how the defense is chosen, and how it is written."""

from __future__ import annotations

from itertools import pairwise

import boards
import pytest

from ucbench.cli.app import main
from ucbench.errors import DataError
from ucbench.leaderboard.tiers import by_tier, to_markdown
from ucbench.results.gate import gates
from ucbench.results.table import rows

TIERS = {"cutmix": "T0", "mixup": "T0", "jpeg": "T1"}


def tables(*parts):
    table = rows([record for part in parts for record in part])
    return by_tier(table, TIERS.__getitem__, gates(table))


def best_of(found, poisoner):
    (lines,) = [table.lines for table in found]
    return next(best for name, best in lines if name["poisoner"] == poisoner)


def test_tier_is_represented_by_its_best_defense():
    found = tables(
        boards.rows_of({"uc": [20]}),
        boards.rows_of({"uc": [30]}, "cutmix"),
        boards.rows_of({"uc": [45]}, "mixup"),
        boards.rows_of({"uc": [80]}, "jpeg"),
    )
    best = best_of(found, "uc")
    assert {tier: (one.accuracy.mean, one.defense, one.tried) for tier, one in best.items()} == {
        "none": (20, "none", 1),
        "T0": (45, "mixup", 2),
        "T1": (80, "jpeg", 1),
    }


def test_tier_is_the_highest_mean_over_all_seeds():
    found = tables(
        boards.rows_of({"uc": [90, 10, 90, 10]}, "cutmix"), boards.rows_of({"uc": [10, 90, 10, 98]}, "mixup")
    )
    assert best_of(found, "uc")["T0"].accuracy.mean == 52


def test_tier_skips_a_defense_that_lacks_a_seed():
    found = tables(
        boards.rows_of({"uc": [20, 20]}),
        boards.rows_of({"uc": [30, 30]}, "cutmix"),
        boards.rows_of({"uc": [99]}, "mixup"),
    )
    best = best_of(found, "uc")["T0"]
    assert (best.accuracy.mean, best.defense, best.tried) == (30, "cutmix", 1)


def test_tiers_of_a_line_are_over_the_same_seeds():
    found = tables(
        boards.rows_of({"uc": [20, 20, 20]}),
        [boards.record("uc", seed, 30, "cutmix") for seed in (0, 1)],
        [boards.record("uc", seed, 99, "jpeg") for seed in (1, 2)],
    )
    best = best_of(found, "uc")
    assert (best["none"].accuracy.mean, best["T0"], best["T1"]) == (20, (2, 3), (2, 3))
    apart = tables(boards.rows_of({"uc": [30]}, "cutmix"), [boards.record("uc", 1, 99, "jpeg")])
    assert best_of(apart, "uc") == {"T0": (1, 2), "T1": (1, 2)}


def test_tier_skips_failed_cells():
    failed = [boards.failed(one) for one in boards.rows_of({"uc": [99]}, "mixup")]
    found = tables(boards.rows_of({"uc": [20]}), boards.rows_of({"uc": [30]}, "cutmix"), failed)
    assert best_of(found, "uc")["T0"].defense == "cutmix"


def test_tiers_refuse_rows_of_one_exploiter_with_other_numerics():
    with pytest.raises(DataError, match="cannot be averaged"):
        tables(boards.rows_of({"uc": [20]}), [boards.elsewhere(boards.record("uc", 1, 50))])


def test_tier_tables_repeat_clean_rows_per_exploiter():
    found = tables(
        boards.rows_of({"clean": [95]}),
        boards.rows_of({"uc": [20]}, epsilon=8.0),
        boards.rows_of({"uc": [10]}, epsilon=16.0),
        boards.rows_of({"uc": [50]}, labeling="fine:parts=2"),
    )
    assert [[name["poisoner"] for name, _ in table.lines] for table in found] == [
        ["uc"],
        ["clean", "uc"],
        ["clean", "uc"],
    ]


def test_tier_table_marks_untried_tiers():
    text = to_markdown(
        tables(
            boards.rows_of({"clean": [95.0], "uc": [20.0]}),
            boards.rows_of({"uc": [50.0]}, "jpeg"),
            boards.rows_of({"lsp": [30.0]}, craft_labels="clusters:k=10"),
        )
    )
    assert "| poisoner | none | T1 |" in text
    assert "| `clean` | 95.0 | not run |" in text
    assert "| `uc` | 20.0 | 50.0 `jpeg` |" in text
    assert "| `lsp` (labels clusters:k=10) | 30.0 | not run |" in text


def test_tier_table_tells_incomplete_tiers_from_untried_ones():
    text = to_markdown(
        tables(
            boards.rows_of({"clean": [95.0, 95.0], "uc": [20.0, 20.0]}),
            [boards.record("uc", 1, 50.0, "jpeg")],
        )
    )
    assert "| `uc` | 20.0 (20.0, 20.0) | incomplete: 1 of 2 |" in text
    assert "| `clean` | 95.0 (95.0, 95.0) | not run |" in text


def test_bar_in_a_name_ends_no_cell_of_a_tier_table():
    (line,) = to_markdown(tables(boards.rows_of({"release:a|b.npy": [20.0]}))).splitlines()[-1:]
    assert line == r"| `release:a\|b.npy` | 20.0 |"


def test_chain_has_the_highest_tier_of_its_parts(tmp_path, capsys):
    boards.folder(tmp_path, boards.rows_of({"uc": [20.0]}) + boards.rows_of({"uc": [60.0]}, "jpeg:quality=30+cutmix"))
    assert main(["leaderboard", "tiers", str(tmp_path), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "| poisoner | none | T1 |" in text
    assert "60.0 `jpeg:quality=30+cutmix`" in text


def test_tier_table_has_the_accuracy_and_its_defense_in_one_line_without_a_width(tmp_path, capsys):
    boards.folder(tmp_path, boards.rows_of({"uc": [20.0]}) + boards.rows_of({"uc": [60.0]}, "jpeg:quality=30"))
    assert main(["leaderboard", "tiers", str(tmp_path)]) == 0
    heading, _, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith("digits, linf 8, resnet18:width=16")
    assert [line.split() for line in lines[:3:2]] == [
        ["poisoner", "none", "T1"],
        ["uc", "20.0", "60.0", "jpeg:quality=30"],
    ]


@pytest.mark.parametrize(("count", "has_both"), [(2, True), (3, False)])
def test_tiers_explain_parentheses_where_a_mean_is_of_two(tmp_path, capsys, count, has_both):
    boards.folder(tmp_path, boards.rows_of({"uc": [20.0, 30.0, 25.0][:count]}))
    assert main(["leaderboard", "tiers", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert ("25.0 (20.0, 30.0)" in text, "Parentheses: both values" in text) == (has_both, has_both)


def test_oracle_defense_has_no_tier(tmp_path, capsys):
    boards.folder(tmp_path, boards.rows_of({"uc": [20.0]}) + boards.rows_of({"uc": [90.0]}, "jpeg+clean-pixels"))
    assert main(["leaderboard", "tiers", str(tmp_path), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "| poisoner | none |" in text
    assert "90.0" not in text


def test_tiers_raise_on_a_folder_without_records(tmp_path, capsys):
    assert main(["leaderboard", "tiers", str(tmp_path)]) == 1
    assert "There are no records" in capsys.readouterr().err


@pytest.mark.parametrize("poisoner", ["uc", "lsp"])
def test_tier_table_has_a_row_per_poisoner(poisoner):
    assert best_of(tables(boards.rows_of({"uc": [20], "lsp": [30]})), poisoner)["none"].defense == "none"


def judged(*, positive: float):
    """Records of two budgets, of which the gate was judged at the first only, by what ``positive`` leaves there."""
    clean = boards.rows_of({"clean": [89.0, 91.0, 89.0, 91.0]})
    judging = [
        boards.record("positive", one["request"]["craft_seed"], positive, access="full", oracle=True)
        if one["request"]["poisoner"] == "positive"
        else one
        for one in boards.judging()
    ]
    return [*clean, *judging, *boards.rows_of({"uc": [20.0] * 4}), *boards.rows_of({"uc": [15.0] * 4}, epsilon=16.0)]


NOTHING = "The numbers say nothing about any method."


@pytest.mark.parametrize("options", [(), ("--markdown",)])
@pytest.mark.parametrize(("positive", "verdict"), [(12.0, "passed."), (60.0, "NOT passed: no effect is stated.")])
def test_tier_table_stands_below_the_verdict_of_its_gate(positive, verdict, options, tmp_path, capsys):
    boards.folder(tmp_path, judged(positive=positive))
    assert main(["leaderboard", "tiers", str(tmp_path), *options]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    above = {line: before for before, line in pairwise(lines) if line.startswith("Gate")}
    first, second = above
    assert f"Gate (`positive`): {verdict}" in first
    assert first.endswith(NOTHING) == (positive == 60.0)
    assert second == f"Gate: not judged, because `positive` was not run in this setting. {NOTHING}"
    assert ["linf 8" in above[first], "linf 16" in above[second]] == [True, True]


def test_tier_table_has_the_gate_of_the_board_that_its_suite_cites(tmp_path, capsys):
    boards.folder(tmp_path / "one/v1", judged(positive=12.0))
    citing = boards.folder(tmp_path / "two/v1", boards.rows_of({"uc": [20.0]}))
    suite = 'name = "two"\nversion = 1\ntitle = "Two"\n[gate]\nof = "one"\n[[table]]\npoisoner = "uc"\n'
    (citing / "suite.toml").write_text(suite, encoding="utf-8")
    assert main(["leaderboard", "tiers", str(citing)]) == 0
    assert "Gate of one/v1 (`positive`): passed." in capsys.readouterr().out
