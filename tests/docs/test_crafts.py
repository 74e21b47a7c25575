"""How crafts ended: errors of their own networks, from the notes in records."""

from __future__ import annotations

from statistics import fmean

import doc_pages  # noqa: F401
import pytest
from _ext import crafts

from ucbench.errors import DataError
from ucbench.results.records import read_records

BOARD = "photos-core/v1"


@pytest.mark.parametrize(
    ("notes", "errors"),
    [
        ({"error": 0.1}, {"perturbed": 0.1}),
        ({"clean_error": 0.3, "error": 0.7}, {"clean": 0.3, "perturbed": 0.7}),
        ({"errors": [0.9, 0.0]}, {"perturbed": 0.0}),
        ({"errors": []}, {}),
        ({"accuracies": {"clean": 0.25, "perturbed": 0.5}}, {"clean": 0.75, "perturbed": 0.5}),
        ({"clean_error": 0.25, "recognised": 0.25}, {"clean": 0.25, "perturbed": 0.75}),
        ({"losses": [1.0]}, {}),
    ],
)
def test_errors_are_read_from_the_notes_of_any_method(notes, errors):
    assert crafts.errors_of(notes) == errors


def test_table_has_the_mean_over_crafts_of_those_that_train_a_network():
    releases = {
        record["request"]["craft_seed"]: record["crafting"]["notes"]["errors"][-1]
        for record in read_records(crafts.LEADERBOARDS / BOARD)
        if record["request"]["poisoner"] == "eminn"
    }
    assert len(releases) == 3
    lines = [line.split(" | ") for line in crafts.crafts(BOARD).splitlines()[2:]]
    named = {line[0].strip("| `"): line for line in lines}
    assert named["eminn"][-1].strip("| ") == f"{100 * fmean(releases.values()):.1f}"
    assert not {"clean", "sham", "uc", "lsp"} & set(named)


@pytest.mark.parametrize("surrogate", ["airbench", "resnet18:width=16"])
def test_table_keeps_releases_from_several_networks_apart(surrogate):
    board = "fast-surrogates/v1"
    releases = {
        record["request"]["craft_seed"]: record["crafting"]["notes"]["errors"][-1]
        for record in read_records(crafts.LEADERBOARDS / board)
        if (record["request"]["poisoner"], record["request"]["surrogate"]) == ("eminn", surrogate)
    }
    lines = [line for line in crafts.crafts(board).splitlines() if f"`eminn` from `{surrogate}`" in line]
    assert {line.split(" | ")[-1].strip("| ") for line in lines} == {f"{100 * fmean(releases.values()):.1f}"}


def test_table_of_a_board_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"There are no records in .*never-run"):
        crafts.crafts("never-run/v1")
