"""Rows and tables: each cell beside its own references, in bytes that depend on the records alone."""

from __future__ import annotations

import csv
import math
import random
import subprocess
import sys

import boards
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.results.columns import AVERAGED, BOARD, COLUMNS, PART_ACCURACY, PART_GAIN, REQUESTED, SETTING, column
from ucbench.results.frame import read
from ucbench.results.gate import NOT_JUDGED, PIXEL_POSITIVE, gates, judgement_of
from ucbench.results.records import read_records, write_record
from ucbench.results.statistics import gap_removed
from ucbench.results.summary import summarise
from ucbench.results.table import dicts, rows, to_csv, write_csv
from ucbench.store.keys import key


def record(poisoner: str, accuracy: float | None, *, data: str = "spots", dtype: str = "float32", **changes) -> dict:
    """A record of a cell on ten balanced classes; without an accuracy, of a failed one."""
    request = {
        "dataset": "spots",
        "poisoner": poisoner,
        "preset": "standard",
        "surrogate": "none",
        "craft_labels": "none",
        "labeling": "original",
        "defense": "none",
        "victim": "tiny",
        "norm": "linf",
        "epsilon": 8.0,
        "mixture": 1.0,
        "trusted": 0,
        "craft_seed": 0,
        "train_seed": 0,
    }
    if poisoner == "clean":
        request |= {"norm": "unbounded", "epsilon": None, "craft_seed": None}
    metrics = changes.pop("metrics", {})
    request |= changes
    found = {
        **boards.record(poisoner, 0, 0.0 if accuracy is None else accuracy),
        "cell": key("cell", [*request.values(), data, dtype]),
        "request": request,
        "data": {"train": data, "test": data, "test_images": 1000},
        "numerics": {"dtype": dtype, "threads": 1, "deterministic": True},
    }
    if accuracy is None:
        return boards.failed(found)
    return found | {
        "metrics": {
            "test_accuracy": accuracy,
            "balanced_accuracy": accuracy,
            "matched_accuracy": accuracy,
            "test_accuracy_best": min(accuracy + 1, 100.0),
            "train_accuracy": 99.0,
            "chance": 10.0,
            **metrics,
        },
        "epochs": 12,
        "budget": {"linf_max": 4.0, "psnr": 31.25, "l2_max": 0.0315, "l0_max": 64.0, "ssim": 0.98765},
        "cost": {"seconds": 12.3456, "craft_seconds": 1.0, "images_per_second": 100.0},
    }


def row_of(poisoner: str, records: list[dict], **where) -> dict:
    (found,) = [
        r for r in dicts(rows(records)) if r["poisoner"] == poisoner and all(r[k] == v for k, v in where.items())
    ]
    return found


def test_columns_are_described_once_and_in_full():
    for described in (*map(column, COLUMNS), *BOARD):
        assert described.meaning, described.name
        assert described.heading, described.name
    assert len({described.name for described in BOARD}) == len(BOARD)
    assert len({number.priority for number in AVERAGED}) == len(AVERAGED)
    assert COLUMNS[: len(REQUESTED)] == tuple(described.name for described in REQUESTED)
    assert not any(described.priority for described in REQUESTED)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("epsilon", 8.0, "8"),
        ("epsilon", 0.5, "0.5"),
        ("mixture", None, ""),
        ("epochs", 12, "12"),
        ("test_accuracy", 100 / 3, "33.33"),
        ("test_accuracy", math.nan, ""),
        ("gap_removed", 2 / 3, "0.6667"),
        ("robust-accuracy.accuracy", 1 / 3, "0.3333"),
        ("robust-accuracy.images", 7, "7"),
        ("victim", "tiny", "tiny"),
    ],
)
def test_csv_text_of_a_value_follows_from_its_column(name, value, text):
    assert column(name).text(value) == text


def test_row_has_reference_accuracies_and_drops():
    records = [record("clean", 90.0), record("sham", 88.0), record("uc", 30.0)]
    row = row_of("uc", records)
    assert (row["clean_accuracy"], row["sham_accuracy"]) == (90.0, 88.0)
    assert (row["drop"], row["drop_sham"]) == (60.0, 58.0)
    assert row["gap_removed"] == pytest.approx(60 / 80)
    clean = row_of("clean", records)
    assert (clean["drop"], clean["sham_accuracy"], clean["defense"], clean["norm"]) == (0, None, "none", "unbounded")


@pytest.mark.parametrize(
    ("clean", "accuracy", "chance", "removed"),
    [
        (90.0, 90.0, 10.0, 0.0),
        (90.0, 10.0, 10.0, 1.0),
        (90.0, 2.0, 10.0, 1.0),  # below chance counts as chance
        (90.0, 94.0, 10.0, -0.05),
        (60.0, 35.0, 10.0, 0.5),
        (10.0, 5.0, 10.0, math.nan),
        (8.0, 5.0, 10.0, math.nan),
        (None, 5.0, 10.0, math.nan),
        (90.0, None, 10.0, math.nan),
        (90.0, 5.0, None, math.nan),
    ],
)
def test_gap_removed_is_a_share_of_the_removable_gap(clean, accuracy, chance, removed):
    assert gap_removed(clean, accuracy, chance) == pytest.approx(removed, nan_ok=True)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 99))
@settings(max_examples=25, deadline=None)
def test_gap_removed_is_at_most_one(clean, accuracy, chance):
    found = gap_removed(clean, accuracy, chance)
    assert np.isnan(found) or found <= 1


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


def test_rows_of_the_same_images_by_two_names_share_references_and_get_the_shorter_name():
    near, far = {"dataset": "imagefolder:data"}, {"dataset": "imagefolder:/home/me/data"}
    records = [record("clean", 90.0, **far), record("sham", 88.0, **near), record("uc", 30.0, **far)]
    records += [record("lsp", 20.0, **near), record("eminn", 20.0, **near, data="other images")]
    assert row_of("uc", records)["drop"] == 60.0
    assert row_of("lsp", records)["drop_sham"] == 68.0
    assert row_of("eminn", records)["drop"] is None
    assert set(rows(records)["dataset"]) == {"imagefolder:data"}
    assert len(summarise(rows([record("uc", 30.0, **near), record("uc", 40.0, **far, craft_seed=1)]))) == 1


def test_gap_is_missing_unless_clean_accuracy_is_above_chance_by_its_interval():
    """Over 1,000 test images, up to 11.9 % are within the interval of 10 %; over trainings, this one is wide."""
    assert row_of("uc", [record("clean", 11.5), record("uc", 10.0)])["gap_removed"] is None
    assert row_of("uc", [record("clean", 12.5), record("uc", 10.0)])["gap_removed"] == 1.0
    spread = [record("clean", accuracy, train_seed=seed) for seed, accuracy in enumerate((90.0, 12.0))]
    assert row_of("uc", [*spread, record("uc", 10.0)])["gap_removed"] is None
    unknown = {**record("clean", 90.0), "data": {"train": "spots", "test": "spots"}}
    assert row_of("uc", [unknown, {**record("uc", 10.0), "data": unknown["data"]}])["gap_removed"] is None


def test_row_has_the_platform_of_its_victim_and_older_records_that_of_this_package():
    older, other = record("uc", 30.0), record("uc", 40.0) | {"platform": "keras"}
    assert [row_of("uc", [each])["platform"] for each in (older, other)] == ["ucbench", "keras"]


def test_rows_take_nothing_but_the_fields_of_their_columns():
    """A metric or a further field of the request cannot pass for another column."""
    forged = record("uc", 30.0, metrics={"poisoner": 1.0, "drop": 99.0, "oracle": 1.0})
    forged["request"]["test_accuracy"] = 1.0
    assert row_of("uc", [forged]) == row_of("uc", [record("uc", 30.0)])


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_csv_text_is_no_formula_and_is_read_back(tmp_path, start):
    name = f'{start}HYPERLINK("x.example")'
    forged = record("uc", 30.0, dataset=name, metrics={f"{name}.x": -1.5})
    path = write_csv(tmp_path, rows([forged]))
    header, line = csv.reader(path.read_text().splitlines())
    assert (line[0], header[-1], line[-1]) == (f"'{name}", f"'{name}.x", "-1.5000")
    assert read(path)["dataset"].tolist() == [name]


def test_control_characters_of_records_are_escaped_in_rows():
    hostile = record("uc", 30.0, dataset="a\x1b]0;b\x07\r\n\u202ec", metrics={"a\x1b.b": 1.0})
    (row,) = dicts(rows([hostile]))
    assert row["dataset"] == r"a\x1b]0;b\x07\r\n\u202ec"
    assert r"a\x1b.b" in row


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


def versioned(made: dict, **versions: int) -> dict:
    """The record of the same cell by these versions of its components."""
    parts = {place: {**boards.component(place), "version": version} for place, version in versions.items()}
    return {**made, "components": parts, "cell": key("cell", [made["cell"], versions])}


@pytest.mark.parametrize("later", [{"victim": 2, "poisoner": 1}, {"victim": 2, "poisoner": 3}])
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
@settings(max_examples=25, deadline=None)
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


def test_results_csv_is_rebuilt_byte_identically_from_records(tmp_path):
    for each in many():
        write_record(tmp_path, each)
    before = write_csv(tmp_path, rows(many())).read_bytes()
    assert write_csv(tmp_path, rows(read_records(tmp_path))).read_bytes() == before
    assert before.count(b"\n") == 1 + len(many())
    assert b"\r" not in before


def test_csv_writes_plain_numbers_and_empty_fields(tmp_path):
    path = write_csv(tmp_path, rows([record("clean", 90.0), record("uc", 100 / 3, mixture=0.4), record("lsp", None)]))
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == COLUMNS
        table = {row["poisoner"]: row for row in reader}
    uc = {name: table["uc"][name] for name in ("test_accuracy", "epsilon", "mixture", "gap_removed", "sham_accuracy")}
    assert uc == {
        "test_accuracy": "33.33", "epsilon": "8", "mixture": "0.4", "gap_removed": "0.7083", "sham_accuracy": ""
    }  # fmt: skip
    assert (table["uc"]["measured_l2"], table["uc"]["ssim"]) == ("0.0315", "0.9877")
    assert (table["clean"]["craft_seed"], table["clean"]["epsilon"], table["clean"]["drop"]) == ("", "", "0.00")
    assert (table["lsp"]["status"], table["lsp"]["test_accuracy"]) == ("failed", "")


def test_summary_averages_over_seeds_and_counts_failures():
    records = [
        *(record("clean", 90.0 + seed, train_seed=seed) for seed in (0, 1)),
        *(record("uc", 30.0 + 2 * seed, train_seed=seed, craft_seed=seed) for seed in (0, 1)),
        record("uc", None, train_seed=2, craft_seed=2),
        record("uc", 70.0, epsilon=4.0),
        record("uc", 71.0, preset="quick"),
    ]
    found = summarise(rows(records))
    assert [(s.shared["poisoner"], s.shared["epsilon"], s.shared["preset"], s.done, s.failed) for s in found] == [
        ("clean", None, "standard", 2, 0),
        ("uc", 4.0, "standard", 1, 0),
        ("uc", 8.0, "quick", 1, 0),
        ("uc", 8.0, "standard", 2, 1),
    ]
    means = found[-1].means
    assert (means["test_accuracy"].mean, means["test_accuracy"].n) == (31.0, 2)
    assert means["test_accuracy"].half == pytest.approx(12.706 * math.sqrt(2) / math.sqrt(2), rel=1e-3)
    # Paired by seed: 90 - 30 and 91 - 32.
    assert means["drop"].mean == 59.5


def test_summary_counts_trainings_on_one_release_once():
    """The craft seed is the unit: what repeats a training says nothing about another release."""
    accuracies = {(0, 0): 30.0, (0, 1): 50.0, (1, 0): 20.0, (1, 1): 20.0}
    records = [
        *(record("clean", 90.0 + train, train_seed=train) for train in (0, 1)),
        *(record("uc", value, craft_seed=craft, train_seed=train) for (craft, train), value in accuracies.items()),
    ]
    clean, uc = summarise(rows(records))
    assert (uc.done, uc.means["test_accuracy"].n) == (4, 2)
    assert uc.means["test_accuracy"].mean == 30.0
    assert uc.means["test_accuracy"].half == pytest.approx(12.706 * math.sqrt(200) / math.sqrt(2), rel=1e-3)
    assert (clean.means["test_accuracy"].n, clean.means["test_accuracy"].mean) == (2, 90.5)


def regime(
    positive: float = 15.0, sham: float = 88.0, train: float = 99.0, spread: float = 0.5, clean: float = 97.0,
    pixels: float = 12.0, seeds=(0, 1), learned: float = 90.0,
) -> list:  # fmt: skip
    def each(name: str, accuracy: float, seed: int, **metrics: float) -> dict:
        return record(name, accuracy + (spread if seed else -spread), train_seed=seed, craft_seed=seed, metrics=metrics)

    return [
        *(record("clean", learned, train_seed=seed, metrics={"train_accuracy": clean}) for seed in seeds),
        *(each("sham", sham, seed) for seed in seeds),
        *(each("positive", positive, seed, train_accuracy=train) for seed in seeds),
        *(each(PIXEL_POSITIVE, pixels, seed) for seed in seeds),
    ]


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"train": 94.9}, ["train accuracy on the release"]),
        ({"train": 95.0}, []),
        ({"positive": 35.0}, ["positive removes"]),
        ({"positive": 33.0}, []),
        ({"sham": 81.0}, ["|clean - sham|"]),
        ({"sham": 99.0}, ["|clean - sham|"]),
        ({"sham": 82.5}, []),
        ({"spread": 1.0}, ["half-width of the interval"]),
        ({"clean": 94.9}, ["clean train accuracy"]),
        ({"clean": 95.0}, []),
        ({"pixels": 35.0}, [PIXEL_POSITIVE]),
        ({"pixels": 33.0}, []),
    ],
)
def test_gate_names_the_unmet_conditions(changes, failing):
    (gate,) = gates(rows(regime(**changes)))
    assert [name for name, check in gate.checks.items() if not check.met] == failing
    assert gate.passed == (not failing)
    assert gate.state == ("failed" if failing else "passed")


def test_gate_compares_clean_train_accuracy_with_that_at_convergence():
    (gate,) = gates(rows(regime(clean=90.0)), converged=94.0)
    assert gate.passed
    assert "of the 94 % at convergence that the suite states" in gate.checks["clean train accuracy"].text


def test_gate_needs_clean_accuracy_above_chance_by_its_interval():
    spread = [record("clean", 40.0 + 60 * seed, train_seed=seed, metrics={"train_accuracy": 99.0}) for seed in (0, 1)]
    (gate,) = gates(rows([*spread, *regime()[2:]]))
    assert not gate.checks["clean accuracy above chance"].met


def test_gate_needs_clean_accuracy_above_chance_by_the_interval_over_test_images():
    """Over crafts the interval has no width."""
    (gate,) = gates(rows(regime(learned=11.5, sham=11.4, positive=10.0, pixels=10.0)))
    assert gate.state == "failed"
    assert "not by its interval over the test images" in gate.text


@pytest.mark.parametrize(
    "other",
    [
        record("rand-class", 12.0),
        record("rand-class:grid=2,pattern=blocks", 12.0),
        record(PIXEL_POSITIVE, 12.0, epsilon=16.0),
        record(PIXEL_POSITIVE, 12.0, defense="jpeg"),
        record(PIXEL_POSITIVE, 12.0, victim="other"),
    ],
    ids=["blocks by default", "blocks", "epsilon", "defense", "victim"],
)
def test_gate_is_not_judged_without_a_second_positive_of_the_same_regime(other):
    (gate,) = gates(rows([*regime()[:-2], other]))
    assert (gate.state, gate.passed) == ("not judged", False)
    assert gate.checks[PIXEL_POSITIVE].text == "not run"


def test_failed_condition_counts_more_than_one_that_was_not_run():
    (gate,) = gates(rows(regime(positive=60.0)[:-2]))
    assert gate.state == "failed"


def test_gate_uses_the_references_of_its_rows():
    strangers = [
        *(record("sham", 20.0, mixture=0.5, train_seed=seed, craft_seed=seed) for seed in (0, 1)),
        *(record("clean", 20.0, dtype="bfloat16", train_seed=seed) for seed in (0, 1)),
        record("positive", None, train_seed=2, craft_seed=2),
    ]
    (gate,) = gates(rows([*strangers, *regime()]))
    assert gate.passed


def test_gate_compares_clean_and_sham_of_the_rows_that_have_both():
    """Sham was run beside the two better clean rows: 2 points below them, and above the mean of all clean rows."""
    learned = (50.0, 50.0, 90.0, 90.0)
    records = [
        *(record("clean", learned[seed], train_seed=seed) for seed in range(4)),
        *(record("sham", 88.0, train_seed=seed, craft_seed=seed) for seed in (2, 3)),
        *(record("positive", 12.0, train_seed=seed, craft_seed=seed) for seed in range(4)),
    ]
    (gate,) = gates(rows(records))
    assert gate.checks["|clean - sham|"].text == f"{100 * 2 / 60:.1f} % of the gap, at most 10"


def test_gate_is_missing_without_positive_and_not_passed_without_references():
    assert gates(rows(regime()[:4])) == []
    assert gates(rows([record("positive", None)])) == []
    assert gates(rows([record("positive", 10.0, defense="jpeg")])) == []
    (gate,) = gates(rows(regime()[4:]))
    assert gate.state == "not judged"


def test_gate_is_open_with_one_seed():
    one = [row for row in regime() if row["request"]["train_seed"] == 0]
    (gate,) = gates(rows(one))
    assert gate.state == "not judged"
    assert "needs two crafts (open)" in gate.text


def test_judgement_of_a_setting_is_by_a_gate_that_was_passed():
    """A weaker oracle beside it proves nothing against the regime."""
    weak = [record("positive:grid=9", 60.0, train_seed=seed, craft_seed=seed) for seed in (0, 1)]
    found = gates(rows([*weak, *regime()]))
    setting = tuple(found[0].shared[name] for name in SETTING)
    assert {gate.state for gate in found} == {"passed", "failed"}
    assert judgement_of(found, setting).state == "passed"
    assert judgement_of(found, (*setting[:-1], 200)) == NOT_JUDGED


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


def test_rows_have_the_dtypes_of_their_columns_also_without_values():
    """A column of a failed cell alone is empty, and still one of numbers."""
    for records in (many(), [record("clean", None)], []):
        table = rows(records)
        assert {name: table[name].dtype for name in COLUMNS} == {name: column(name).dtype for name in COLUMNS}


def test_rows_keep_counts_of_a_metric_as_integers():
    counted = {"probe.images": 7, "probe.share": 1.0}
    table = rows([record("uc", 50.0, metrics=counted), record("lsp", 60.0)])
    assert to_csv(table).splitlines()[0].endswith("cell,probe.images,probe.share")
    assert [line.split(",")[-2:] for line in to_csv(table).splitlines()[1:]] == [["", ""], ["7", "1.0000"]]


def test_summary_of_counts_leaves_out_cells_without_one():
    counted = [record("uc", 50.0, craft_seed=seed, metrics={"probe.images": 7 + seed}) for seed in (0, 1)]
    (uc,) = summarise(rows([*counted, record("uc", 60.0, craft_seed=2)]))
    assert (uc.means["probe.images"].mean, uc.means["probe.images"].n) == (7.5, 2)


def test_mixture_row_prefers_the_clean_part_of_its_poisoner():
    part = {"defense": "clean-part", "mixture": 0.4}
    records = [record("uc", 50.0, mixture=0.4), record("sham", 60.0, **part)]
    assert rows(records)[PART_GAIN].dropna().tolist() == [-10.0]
    for own in (record("uc", 40.0, **part), record("lsp", 30.0, **part)):
        records.append(own)
        assert rows(records)[PART_GAIN].dropna().tolist() == [10.0]


def test_records_and_columns_load_without_pandas_and_tables_without_torch():
    code = (
        "import sys, ucbench.results.columns, ucbench.results.records\n"
        "assert not {'pandas', 'scipy', 'torch'} & sys.modules.keys()\n"
        "import ucbench.results.gate, ucbench.results.table\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
