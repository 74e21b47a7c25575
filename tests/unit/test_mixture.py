"""Mixtures: stratified, nested, and the same for every poisoner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.data.selection import protected_part

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(lambda labels: np.array(labels, np.int64))


@given(LABELS, st.floats(0.01, 1), st.integers(0, 99))
def test_mixture_takes_the_share_of_every_class(labels: np.ndarray, fraction: float, seed: int) -> None:
    part = protected_part(labels, fraction, seed)
    for label in np.unique(labels):
        assert (labels[part] == label).sum() == round(fraction * (labels == label).sum())
    assert (np.diff(part) > 0).all()
    assert part.dtype == np.int64


@given(LABELS, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 99))
def test_mixture_parts_are_nested(labels: np.ndarray, one: float, other: float, seed: int) -> None:
    smaller, larger = (protected_part(labels, fraction, seed) for fraction in sorted((one, other)))
    assert set(smaller) <= set(larger)


def test_mixture_of_share_one_is_the_whole_set():
    labels = np.arange(12) % 5
    assert protected_part(labels, 1.0, 3).tolist() == list(range(12))


@pytest.mark.parametrize("fraction", [0.2, 0.8])
def test_mixture_depends_only_on_its_seed(fraction):
    labels = np.arange(100) % 4
    first = protected_part(labels, fraction, 0)
    np.testing.assert_array_equal(first, protected_part(labels, fraction, 0))
    assert set(first) != set(protected_part(labels, fraction, 1))
    assert not (np.diff(first) == 1).all()  # drawn at random rather than the first ones
