"""Whether victims order releases alike: which releases count, and what the command prints."""

from __future__ import annotations

import json

import boards
import pytest

from ucbench.cli.app import main
from ucbench.leaderboard.victims import by_victim
from ucbench.results.table import rows

#: Accuracies of four releases by victim, one per craft; the second victim swaps the first two.
FAST = {"sham": [80, 82], "uc": [50, 52], "lsp": [20, 22], "ops": [10, 12]}
SLOW = {"sham": [90, 92], "uc": [60, 62], "lsp": [11, 13], "ops": [21, 23]}


def of(victim: str, accuracies: dict, **request) -> list[dict]:
    budgets = {"ops": {"norm": "l0", "epsilon": 1.0, "access": "full"}, "lsp": {"access": "full"}}
    return [
        one
        for name, values in accuracies.items()
        for one in boards.rows_of({name: values}, victim=victim, **budgets.get(name, {}), **request)
    ]


def test_releases_of_any_budget_and_access_are_ordered_together_and_clean_images_are_none():
    records = [*of("fast", {**FAST, "clean": [95]}), *of("slow", {**SLOW, "clean": [96]})]
    (found,) = by_victim(rows(records))
    assert found.shared == {"dataset": "digits", "labeling": "original", "trusted": 0}
    assert [name.split()[0] for name in found.releases] == ["ops", "lsp", "uc", "sham"]
    assert found.releases["ops (l0 1)"]["slow"].mean == 22
    agreed = found.pairs["fast", "slow"]
    assert (agreed.items, agreed.seeds) == (4, 2)
    assert agreed.tau == pytest.approx((5 - 1) / 6)


def test_defended_rows_and_releases_of_one_victim_do_not_count():
    records = [*of("fast", FAST), *of("slow", {"uc": [60, 62], "lsp": [11, 13]}), *of("slow", SLOW, labeling="noisy")]
    records += boards.rows_of({"uc": [90, 92]}, "jpeg", victim="slow")
    (found,) = by_victim(rows(records))
    assert found.pairs["fast", "slow"].items == 2
    assert found.pairs["fast", "slow"].tau == pytest.approx(1)
    assert list(found.releases["sham (linf 8)"]) == ["fast"]


def test_releases_are_in_the_order_of_the_first_victim_and_those_that_it_lacks_come_last():
    records = [*of("fast", {"uc": [50], "lsp": [40]}), *of("slow", {"uc": [20], "lsp": [10], "tue": [45], "ar": [5]})]
    (found,) = by_victim(rows(records))
    assert [name.split()[0] for name in found.releases] == ["lsp", "uc", "ar", "tue"]


def test_trainings_on_one_release_are_averaged():
    trained = [boards.record("uc", 0, accuracy, train_seed=seed, victim="fast") for seed, accuracy in enumerate((1, 5))]
    (found,) = by_victim(rows([*trained, *of("slow", {"uc": [60]})]))
    assert (found.releases["uc (linf 8)"]["fast"].mean, found.releases["uc (linf 8)"]["fast"].n) == (3, 1)


def test_command_prints_accuracies_and_agreement(tmp_path, capsys):
    board = str(boards.folder(tmp_path, [*of("fast", FAST), *of("slow", SLOW)]))
    assert main(["leaderboard", "victims", board]) == 0
    text = capsys.readouterr().out
    assert "digits, labels: original, 0 trusted images:" in text
    assert "11.0 (10.0, 12.0)" in text
    assert "\nParentheses: both values" in text
    assert "0.67" in text
    assert main(["leaderboard", "victims", board, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["pairs"][0]["victims"] == ["fast", "slow"]
    assert found["pairs"][0]["tau"] == pytest.approx(2 / 3)
    assert {line["release"] for line in found["releases"]} == {
        "sham (linf 8)",
        "uc (linf 8)",
        "lsp (linf 8)",
        "ops (l0 1)",
    }


@pytest.mark.parametrize(
    ("slow", "stated"), [({"sham": [90], "uc": [90]}, True), ({"uc": [90]}, False), ({"ar": [90]}, False)]
)
def test_orders_are_tied_only_if_there_are_two_releases(tmp_path, capsys, slow, stated):
    board = str(boards.folder(tmp_path, [*of("fast", FAST), *of("slow", slow)]))
    assert main(["leaderboard", "victims", board]) == 0
    assert ("all tied" in capsys.readouterr().out) is stated


def test_command_states_the_gate_of_every_victim(tmp_path, capsys):
    clean = {"clean": [90, 91, 90, 91]}
    records = [*of("fast", clean | {"uc": [50, 52]}), *of("slow", {"uc": [60, 62]}), *boards.judging(victim="fast")]
    board = str(boards.folder(tmp_path, records))
    assert main(["leaderboard", "victims", board, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["gates"] == {"fast": ["passed"], "slow": ["not judged"]}


def test_command_says_where_there_is_nothing_to_compare(tmp_path, capsys):
    board = str(boards.folder(tmp_path, of("fast", FAST)))
    assert main(["leaderboard", "victims", board]) == 0
    assert "No data set and labeling has two victims." in capsys.readouterr().out
