"""The gate of a regime: the conditions it names, the rows it reads, and what it needs to be judged."""

from __future__ import annotations

import boards
import pytest
from result_records import record

from ucbench.results.columns import SETTING
from ucbench.results.gate import NOT_JUDGED, PIXEL_POSITIVE, gates, judgement_of
from ucbench.results.table import rows


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


def test_gate_takes_the_second_positive_that_removes_most():
    """It may be crafted for labels other than the exploiter's too, which then says nothing of the victim."""
    others = [
        record(PIXEL_POSITIVE, 85.0, craft_labels="clusters:k=5", train_seed=seed, craft_seed=seed) for seed in (0, 1)
    ]
    for records in ([*others, *regime()], [*regime(), *others]):
        (gate,) = gates(rows(records))
        assert gate.passed


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


def test_gate_takes_clean_rows_that_failed_for_none():
    found = [boards.failed(one) if one["request"]["poisoner"] == "clean" else one for one in regime()]
    without = [one for one in regime() if one["request"]["poisoner"] != "clean"]
    (gate,), (expected,) = gates(rows(found)), gates(rows(without))
    assert gate.text == expected.text


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
