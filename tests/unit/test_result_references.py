"""Each row beside its own references: clean, sham and the clean part of a mixture."""

from __future__ import annotations

import pytest
from result_records import record, row_of

from ucbench.results.columns import PART_ACCURACY, PART_GAIN
from ucbench.results.summary import summarise
from ucbench.results.table import dicts, rows, to_csv


def test_row_has_reference_accuracies_and_drops():
    records = [record("clean", 90.0), record("sham", 88.0), record("uc", 30.0)]
    row = row_of("uc", records)
    assert (row["clean_accuracy"], row["sham_accuracy"]) == (90.0, 88.0)
    assert (row["drop"], row["drop_sham"]) == (60.0, 58.0)
    assert row["gap_removed"] == pytest.approx(60 / 80)
    clean = row_of("clean", records)
    assert (clean["drop"], clean["sham_accuracy"], clean["defense"], clean["norm"]) == (0, None, "none", "unbounded")


@pytest.mark.parametrize(
    "other",
    [
        {"train_seed": 1},
        {"labeling": "coarse"},
        {"defense": "dim"},
        {"victim": "other"},
        {"trusted": 100},
        {"data": "other images"},
        {"dtype": "bfloat16"},
    ],
)
def test_row_references_have_the_same_exploiter(other):
    records = [record("clean", 50.0, **other), record("sham", 40.0, **other), record("uc", 30.0)]
    row = row_of("uc", records)
    assert (row["clean_accuracy"], row["sham_accuracy"], row["drop"], row["gap_removed"]) == (None,) * 4
    row = row_of("uc", [*records, record("clean", 90.0), record("sham", 88.0)])
    assert (row["clean_accuracy"], row["sham_accuracy"]) == (90.0, 88.0)


@pytest.mark.parametrize(
    "other", [{"epsilon": 16.0}, {"norm": "l2"}, {"mixture": 0.5}, {"craft_seed": 1}], ids=lambda o: next(iter(o))
)
def test_row_sham_has_the_same_budget(other):
    records = [record("clean", 90.0), record("sham", 40.0, **other), record("uc", 30.0)]
    row = row_of("uc", records)
    assert (row["clean_accuracy"], row["sham_accuracy"]) == (90.0, None)
    assert row_of("uc", [*records, record("uc", 20.0, **other)], **other)["sham_accuracy"] == 40.0


def test_row_fields_are_empty_for_a_failed_cell_or_reference():
    row = row_of("uc", [record("clean", None), record("sham", 88.0), record("uc", 30.0)])
    assert (row["clean_accuracy"], row["drop"], row["drop_sham"]) == (None, None, 58.0)
    row = row_of("uc", [record("clean", 90.0), record("uc", None)])
    assert (row["status"], row["test_accuracy"], row["drop"], row["gap_removed"]) == ("failed", None, None, None)


@pytest.mark.parametrize("cell", ["0" * 32, "f" * 32])
@pytest.mark.parametrize("name", ["clean", "sham"])
def test_row_reference_is_a_finished_cell_beside_a_failed_one_of_another_key(name, cell):
    records = [record("clean", 90.0), record("sham", 88.0), record("uc", 30.0)]
    row = row_of("uc", [*records, {**record(name, None), "cell": cell}])
    assert (row["clean_accuracy"], row["sham_accuracy"], row["gap_removed"]) == (90.0, 88.0, 0.75)


def test_rows_of_the_same_images_by_two_names_share_references_and_get_the_shorter_name():
    near, far = {"dataset": "imagefolder:data"}, {"dataset": "imagefolder:/home/me/data"}
    records = [record("clean", 90.0, **far), record("sham", 88.0, **near), record("uc", 30.0, **far)]
    records += [record("lsp", 20.0, **near), record("eminn", 20.0, **near, data="other images")]
    assert row_of("uc", records)["drop"] == 60.0
    assert row_of("lsp", records)["drop_sham"] == 68.0
    assert row_of("eminn", records)["drop"] is None
    assert set(rows(records)["dataset"]) == {"imagefolder:data"}
    assert len(summarise(rows([record("uc", 30.0, **near), record("uc", 40.0, **far, craft_seed=1)]))) == 1


def test_mixture_row_is_compared_with_its_clean_part():
    part = {"defense": "clean-part", "mixture": 0.4}
    table = rows(
        [
            record("clean", 80.0),
            record("sham", 60.0, **part),
            record("sham", 61.0, **part, craft_seed=1, train_seed=1),
            record("uc", 66.5, mixture=0.4),
            record("uc", 55.0, mixture=0.4, craft_seed=1, train_seed=1),
            record("uc", 50.0, mixture=0.8),
            record("uc", 70.0, mixture=0.4, defense="jpeg"),
            record("uc", 20.0),
        ]
    )
    gains = {
        (row["poisoner"], row["mixture"], row["craft_seed"]): (row[PART_ACCURACY], row[PART_GAIN])
        for row in dicts(table)
        if row[PART_GAIN] is not None
    }
    assert gains == {("uc", 0.4, 0): (60.0, 6.5), ("uc", 0.4, 1): (61.0, -6.0)}
    assert to_csv(table).splitlines()[0].endswith("cell,clean-part.accuracy,clean-part.gain")
    assert "clean-part" not in to_csv(rows([record("uc", 50.0, mixture=0.8)])).splitlines()[0]


def test_mixture_row_prefers_the_clean_part_of_its_poisoner():
    part = {"defense": "clean-part", "mixture": 0.4}
    records = [record("uc", 50.0, mixture=0.4), record("sham", 60.0, **part)]
    assert rows(records)[PART_GAIN].dropna().tolist() == [-10.0]
    for own in (record("uc", 40.0, **part), record("lsp", 30.0, **part)):
        records.append(own)
        assert rows(records)[PART_GAIN].dropna().tolist() == [10.0]


def test_gap_is_missing_unless_clean_accuracy_is_above_chance_by_its_interval():
    """Over 1,000 test images, up to 11.9 % are within the interval of 10 %; over trainings, this one is wide."""
    assert row_of("uc", [record("clean", 11.5), record("uc", 10.0)])["gap_removed"] is None
    assert row_of("uc", [record("clean", 12.5), record("uc", 10.0)])["gap_removed"] == 1.0
    spread = [record("clean", accuracy, train_seed=seed) for seed, accuracy in enumerate((90.0, 12.0))]
    assert row_of("uc", [*spread, record("uc", 10.0)])["gap_removed"] is None
    unknown = {**record("clean", 90.0), "data": {"train": "spots", "test": "spots"}}
    assert row_of("uc", [unknown, {**record("uc", 10.0), "data": unknown["data"]}])["gap_removed"] is None
