"""Which records become rows, in which order, and in bytes that depend on the records alone."""

from __future__ import annotations

import random

import boards
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_records import record

from ucbench.results.columns import COLUMNS, column
from ucbench.results.records import read_records, write_record
from ucbench.results.table import dicts, rows, to_csv, write_csv
from ucbench.store.keys import key


def many() -> list[dict]:
    return [
        record(name, accuracy, epsilon=None if name == "clean" else epsilon, train_seed=seed, victim=victim)
        for name, accuracy in (("clean", 90.0), ("sham", 87.125), ("positive", 12.0), ("uc", None), ("tap", 33.3))
        for epsilon in (8.0, 16.0)
        for seed in (0, 1)
        for victim in ("tiny", "big")
        if (name, epsilon) != ("clean", 16.0)
    ]


@given(st.randoms())
@settings(max_examples=25)
def test_rows_are_independent_of_record_order(rng: random.Random):
    records = [*many(), record("tap", 50.0, dtype="bfloat16"), record("tap", 50.0, data="other images")]
    shuffled = records.copy()
    rng.shuffle(shuffled)
    assert to_csv(rows(shuffled)) == to_csv(rows(records))


def test_rows_start_each_block_with_references():
    names = [(row["victim"], row["epsilon"], row["poisoner"]) for row in dicts(rows(many())) if row["train_seed"] == 0]
    block = ["sham", "positive", "tap", "uc"]
    assert names == [
        entry
        for victim in ("big", "tiny")
        for entry in ((victim, None, "clean"), *((victim, epsilon, name) for epsilon in (8.0, 16.0) for name in block))
    ]


@pytest.mark.parametrize(
    ("groups", "labeling", "purity"),
    [
        ({"purity": 0.6, "relative_purity": 0.9, "groups": 5}, "merge:groups=5", 60.0),
        # Older records: five groups of ten classes hold half of the images at most.
        ({"relative_purity": 0.9, "groups": 5}, "original", 45.0),
        ({"relative_purity": 0.9, "groups": 20}, "original", 90.0),
        ({"relative_purity": 0.9, "groups": 20}, "merge:groups=5", None),
        ({"purity": "much"}, "original", None),
        ("none", "original", None),
        (None, "original", None),
    ],
)
def test_purity_is_that_of_the_groups_or_follows_from_the_relative_one(groups, labeling, purity):
    one = boards.record("uc", 0, 50, labeling=labeling)
    one["data"]["classes"] = 10
    one["notes"] = {} if groups is None else {"exploiter_labels_in_groups": groups}
    (row,) = dicts(rows([one]))
    assert row["purity"] == (None if purity is None else pytest.approx(purity))


def test_results_csv_is_rebuilt_byte_identically_from_records(tmp_path):
    for each in many():
        write_record(tmp_path, each)
    before = write_csv(tmp_path, rows(many())).read_bytes()
    assert write_csv(tmp_path, rows(read_records(tmp_path))).read_bytes() == before
    assert before.count(b"\n") == 1 + len(many())
    assert b"\r" not in before


def test_rows_have_the_dtypes_of_their_columns_also_without_values():
    """A column of a failed cell alone is empty, and still one of numbers."""
    for records in (many(), [record("clean", None)], []):
        table = rows(records)
        assert {name: table[name].dtype for name in COLUMNS} == {name: column(name).dtype for name in COLUMNS}


def versioned(made: dict, **versions: int) -> dict:
    """The record of the same cell by these versions of its components."""
    parts = {place: {**boards.component(place), "version": version} for place, version in versions.items()}
    return {**made, "components": parts, "cell": key("cell", [made["cell"], versions])}


@pytest.mark.parametrize(
    "later",
    [
        {"victim": 2, "poisoner": 1},
        {"victim": 2, "poisoner": 3},
        # Older records do not name components behind others.
        {"victim": 1, "poisoner": 1, "poisoner-base": 2},
    ],
)
def test_rows_of_an_earlier_version_are_left_out_beside_a_later_one_with_a_warning(later, caplog):
    far = {"dataset": "imagefolder:/home/me/spots"}
    old = versioned(record("uc", 90.0, **far), victim=1, poisoner=1)
    new, other = versioned(record("uc", 30.0), **later), versioned(record("uc", 50.0, craft_seed=1), victim=1)
    for records in ([old, new, other], [other, new, old]):
        assert {row["cell"]: row["test_accuracy"] for row in dicts(rows(records))} == {
            new["cell"]: 30.0,
            other["cell"]: 50.0,
        }
    assert f"later versions of their components made others of the same cells: {old['cell']}" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        versioned(record("uc", 50.0), victim=1, poisoner=2),
        versioned(record("uc", 50.0, dtype="bfloat16"), victim=2, poisoner=2),
        versioned(record("uc", 50.0, data="other images"), victim=2, poisoner=2),
        versioned(record("uc", 50.0, train_seed=1), victim=2, poisoner=2),
    ],
    ids=["later and earlier", "numerics", "images", "request"],
)
def test_rows_of_other_cells_or_of_versions_without_an_order_stay(other, caplog):
    assert len(rows([versioned(record("uc", 30.0), victim=2, poisoner=1), other])) == 2
    assert not caplog.text
