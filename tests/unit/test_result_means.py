"""Means over seeds: crafts are the unit, failures are counted and not averaged."""

from __future__ import annotations

import math

import pytest
from result_records import record

from ucbench.results.summary import summarise
from ucbench.results.table import rows


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


def test_summary_of_counts_leaves_out_cells_without_one():
    counted = [record("uc", 50.0, craft_seed=seed, metrics={"probe.images": 7 + seed}) for seed in (0, 1)]
    (uc,) = summarise(rows([*counted, record("uc", 60.0, craft_seed=2)]))
    assert (uc.means["probe.images"].mean, uc.means["probe.images"].n) == (7.5, 2)
