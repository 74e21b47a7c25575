"""Agreement of two labelings, against cases that can be counted by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.metrics.information import agreement, best_matching, contingency

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30)


def measured(labels: list[int], original: list[int]) -> tuple[float, float]:
    found = agreement(np.array(labels, np.int64), np.array(original, np.int64))
    return found["normalized_mutual_information"], found["matched_accuracy"]


@pytest.mark.parametrize(
    ("labels", "original", "information", "matched"),
    [
        ([0, 0, 1, 2], [0, 0, 1, 2], 1, 100),
        ([2, 2, 0, 1], [0, 0, 1, 2], 1, 100),  # the same classes under other numbers
        ([0, 0, 0, 0], [0, 0, 1, 1], 0, 50),  # one class tells nothing
        ([0, 1, 0, 1], [0, 0, 1, 1], 0, 50),  # independent
        ([0, 0, 1, 1], [0, 1, 2, 3], 2 / 3, 50),  # merged by twos: ln 2 over the mean of ln 2 and ln 4
        ([0, 1, 2, 3], [0, 0, 1, 1], 2 / 3, 50),  # split in two
        ([0, 0, 0], [0, 0, 0], 1, 100),
        ([5], [0], 1, 100),  # numbers that do not occur are no classes
        # Greedily, 3 + 0; together, 2 + 2.
        ([0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0, 0], None, 400 / 7),
    ],
)
def test_scores_equal_hand_computed_values(labels, original, information, matched):
    found = measured(labels, original)
    if information is not None:
        assert found[0] == pytest.approx(information, abs=1e-12)
    assert found[1] == pytest.approx(matched)


@given(LABELS)
@settings(max_examples=60)
def test_matched_accuracy_equals_brute_force_and_scores_are_symmetric(pairs):
    labels, original = (list(column) for column in zip(*pairs, strict=True))
    best = max(
        sum(matching[label] == true for label, true in pairs)
        for matching in itertools.permutations(range(4))  # three classes, and one that is none of them
    )
    found = measured(labels, original)
    assert found[1] == pytest.approx(100 * best / len(pairs))
    assert 0 <= found[0] <= 1
    assert found == pytest.approx(measured(original, labels))
    assert all(math.isfinite(value) for value in found)


def test_contingency_rows_are_the_first_labeling():
    table = contingency(np.array([0, 0, 2], np.int64), np.array([1, 1, 0], np.int64))
    np.testing.assert_array_equal(table, [[0, 2], [0, 0], [1, 0]])
    rows, columns = best_matching(table)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 2: 0}
