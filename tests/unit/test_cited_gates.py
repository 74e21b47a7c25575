"""Gates of other leaderboards: where they hold."""

from __future__ import annotations

import csv
from pathlib import Path

import boards
import pytest

from ucbench.leaderboard.tables import files
from ucbench.matrix.suite import GateRules

TITLE = "trial v1"


@pytest.fixture
def cited(tmp_path) -> Path:
    """Where poisoners are measured that another leaderboard, ``judge/v2``, has judged the regime of."""
    boards.folder(tmp_path / "judge" / "v1", boards.rows_of({"clean": [90.0] * 4, "uc": [40.0] * 4}))
    boards.folder(tmp_path / "judge" / "v2", [*measured_here(), *boards.judging()])
    return tmp_path / "mine" / "v1"


def measured_here(**request) -> list[dict]:
    return boards.rows_of({"clean": [90.0, 91.0, 92.0, 93.0], "uc": [40.0, 41.0, 42.0, 43.0]}, **request)


@pytest.mark.parametrize("of", ["judge", "judge/v2"])
def test_gate_of_another_board_holds_for_the_same_regime(cited, of):
    uc = cited_line(cited, measured_here(), of)
    assert uc["gate"] == "passed"
    assert float(uc["effect"]) == pytest.approx(0.61, abs=0.01)
    assert "Gate of judge/v2 (`positive`): passed." in files(
        measured_here(), ["none"], TITLE, cited, GateRules(of=of)
    )["README.md"]  # fmt: skip


def cited_line(folder: Path, found: list[dict], of: str) -> dict:
    text = files(found, ["none"], TITLE, folder, GateRules(of=of))["leaderboard.csv"]
    (uc,) = csv.DictReader(text.splitlines())
    return uc


def test_gate_of_another_board_does_not_hold_elsewhere(cited):
    """Not at another radius, on other images, with other numerics, of the version without it, or of no such board."""
    other_images = [{**one, "data": {"train": "c" * 64, "test": "b" * 64}} for one in measured_here()]
    other_numerics = [{**one, "numerics": {**one["numerics"], "dtype": "bfloat16"}} for one in measured_here()]
    for found, of in (
        (measured_here(epsilon=16.0)[4:], "judge"),
        (other_images, "judge"),
        (other_numerics, "judge"),
        (measured_here(), "judge/v1"),
        (measured_here(), "nobody"),
    ):
        uc = cited_line(cited, found, of)
        assert (uc["gate"], uc["rank"], uc["effect"]) == ("not judged", "", ""), of


def test_gate_of_the_board_itself_goes_before_a_cited_one(cited):
    weak = boards.rows_of({"positive": [60.0] * 4}, access="full", oracle=True)
    text = files([*measured_here(), *weak], ["none"], TITLE, cited, GateRules(of="judge"))["leaderboard.csv"]
    assert {line["gate"] for line in csv.DictReader(text.splitlines())} == {"failed"}
