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
}
ACCESS = {"eminn": "full", "lsp": "full", "positive": "full"}
TITLE = "trial v1"


def record(poisoner: str, defense: str, seed: int, **request) -> dict:
    made = boards.record(
        poisoner, seed, ACCURACY[poisoner][defense] + seed, defense, victim="resnet18",
        access=ACCESS.get(poisoner, "none"), oracle=poisoner == "positive", **request,
    )  # fmt: skip
    return {**made, "cell": f"{poisoner}-{defense}-{seed}".ljust(32, "0")}


def records(seeds: int = 4) -> list[dict]:
    return [
        record(poisoner, defense, seed)
        for poisoner, defenses in ACCURACY.items()
        for defense, seed in itertools.product(defenses, range(seeds))
    ]


def table(found: list[dict], defenses=("none", "jpeg")) -> list[dict]:
    return list(csv.DictReader(files(found, defenses, TITLE)["leaderboard.csv"].splitlines()))


def test_poisoners_are_ranked_by_worst_case_within_label_access():
    found = {(line["label_access"], line["poisoner"]): line for line in table(records())}
    assert {name: line["rank"] for name, line in found.items()} == {
        ("none", "uc"): "1", ("none", "sham"): "",
        ("full", "lsp"): "1", ("full", "eminn"): "2", ("full", "positive"): "",
    }  # fmt: skip
    uc = found["none", "uc"]
    assert (uc["worst"], uc["worst_defense"], uc["no_defense"], uc["seeds"], uc["exploratory"]) == (
        "61.50", "jpeg", "41.50", "4", "no"
    )  # fmt: skip
    # The exploiter's best on clean images is without defense: 90 to 93.
    assert float(uc["effect"]) == pytest.approx(sum(30 / (80 + s) for s in range(4)) / 4, abs=1e-4)


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


def test_tables_separate_budgets_and_labelings():
    other = [record("uc", d, s, epsilon=16.0) for d in ("none", "jpeg") for s in range(4)]
    for one in other:
        one["cell"] = "x" + one["cell"][1:]
    lines = [line for line in table(records() + other) if line["poisoner"] == "uc"]
    assert [(line["epsilon"], line["rank"]) for line in lines] == [("8", "1"), ("16", "1")]


def test_tables_mark_fewer_than_four_seeds():
    assert {line["exploratory"] for line in table(records(3))} == {"yes"}
    assert "| 3* |" in files(records(3), ["none", "jpeg"], TITLE)["README.md"]


def test_table_files_are_independent_of_record_order(tmp_path: Path):
    (tmp_path / "records").mkdir()
    for one in records():
        (tmp_path / "records" / f"{one['cell']}.json").write_text(json.dumps(one))
    build(tmp_path, ["none", "jpeg"], TITLE)
    assert files(records()[::-1], ["none", "jpeg"], TITLE) == {
        name: (tmp_path / name).read_text() for name in ("results.csv", "leaderboard.csv", "README.md")
    }
    assert differences(tmp_path, ["none", "jpeg"], TITLE) == []
    board = tmp_path / "leaderboard.csv"
    board.write_text(board.read_text().replace("61.50", "11.50"))
    assert differences(tmp_path, ["none", "jpeg"], TITLE) == ["leaderboard.csv"]


def test_tables_raise_on_a_folder_without_records(tmp_path):
    with pytest.raises(DataError, match="There are no records in"):
        build(tmp_path, ["none"], TITLE)
