"""Class-balanced subsets and stratified splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.selection import balanced_indices, balanced_subset, set_aside, split_validation, stratified_split
from ucbench.errors import DataError

CLASSES = ("ant", "bee", "cat")
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def labels_with_enough_of_each(draw, least):
    labels = [c for c in range(len(CLASSES)) for _ in range(draw(st.integers(least, 3 * least)))]
    return np.array(draw(st.permutations(labels)), np.int64)


def numbered_set(labels):
    """Every pixel of image i is i, so that every row can be recognised."""
    labels = np.asarray(labels, np.int64)
    rows = np.arange(len(labels))
    return ImageSet(
        images=np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(labels), 3, 4, 4)),
        labels=labels,
        classes=CLASSES,
        label_sets={"odd": LabelSet(rows % 2, ("even", "odd"))},
        name="insects",
    )


@given(labels=labels_with_enough_of_each(6), seed=SEEDS, small=st.integers(1, 5))
def test_subsets_are_balanced_nested_and_in_order(labels, seed, small):
    few = balanced_indices(labels, CLASSES, small, seed)
    more = balanced_indices(labels, CLASSES, 6, seed)
    assert np.bincount(labels[few]).tolist() == [small] * 3
    assert np.bincount(labels[more]).tolist() == [6] * 3
    assert set(few) <= set(more)
    assert (np.diff(few) > 0).all()


def test_subset_draws_equal_pinned_values():
    labels = np.repeat(np.arange(3, dtype=np.int64), 20)
    assert balanced_indices(labels, CLASSES, 3, seed=7).tolist() == [7, 13, 14, 23, 27, 35, 45, 46, 48]


def test_subset_differs_for_another_seed():
    labels = np.repeat(np.arange(3, dtype=np.int64), 50)
    drawn = {tuple(balanced_indices(labels, CLASSES, 10, seed)) for seed in range(20)}
    assert len(drawn) == 20


def test_subset_draws_classes_independently():
    labels = np.repeat(np.arange(3, dtype=np.int64), 50)
    rows = balanced_indices(labels, CLASSES, 10, seed=0).reshape(3, 10) % 50
    assert len({tuple(row) for row in rows}) == 3


def test_subset_names_the_class_with_too_few_images():
    with pytest.raises(DataError, match=r"insects: 3 images per class .* class 'bee' has 2"):
        balanced_subset(numbered_set([0, 0, 0, 1, 1, 2, 2, 2]), 3, seed=0)


def test_subset_keeps_images_labels_and_label_sets_together():
    whole = numbered_set(np.arange(60) % 3)
    part = balanced_subset(whole, 5, seed=3)
    rows = part.images[:, 0, 0, 0].astype(int)
    assert len(part) == 15
    assert part.labels.tolist() == (rows % 3).tolist()
    assert part.label_sets["odd"].labels.tolist() == (rows % 2).tolist()


@given(labels=labels_with_enough_of_each(2), seed=SEEDS, fraction=st.floats(0.01, 0.99))
def test_split_is_a_stratified_partition(labels, seed, fraction):
    kept, held = stratified_split(labels, CLASSES, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held) > 0).all()
    counts, taken = np.bincount(labels), np.bincount(labels[held], minlength=3)
    assert (taken >= 1).all()
    assert (taken < counts).all()
    assert (np.abs(taken - fraction * counts) <= 1).all()


def test_split_skips_classes_without_images():
    kept, held = stratified_split(np.array([0, 0, 2, 2], np.int64), CLASSES, 0.5, seed=0)
    assert len(kept) == len(held) == 2


def test_split_raises_on_a_single_image():
    with pytest.raises(DataError, match="insects: class 'cat' has a single image"):
        split_validation(numbered_set([0, 0, 1, 1, 2]), 0.5, seed=0)


def test_split_names_the_validation_part():
    train, validation = split_validation(numbered_set(np.arange(30) % 3), 0.2, seed=0)
    assert (len(train), len(validation)) == (24, 6)
    assert (train.name, validation.name) == ("insects", "insects validation")


def test_image_set_without_labels_drops_its_label_sets():
    labels = np.array([0, 1, 0, 1])
    named = ImageSet(
        np.zeros((4, 3, 8, 8), np.uint8), labels, ("a", "b"), label_sets={"coarse": LabelSet(labels, ("x", "y"))}
    )
    assert not named.with_labels(None).label_sets
    assert set(named.with_labels(labels, ("c", "d")).label_sets) == {"coarse"}


@given(labels_with_enough_of_each(4), SEEDS, st.data())
def test_trusted_part_is_stratified_nested_and_keeps_the_rest_in_order(labels, seed, data):
    images = numbered_set(labels)
    count = data.draw(st.integers(1, len(labels) // 2))
    rest, taken = set_aside(images, count, seed)
    rows = [part.images[:, 0, 0, 0].tolist() for part in (rest, taken)]
    assert len(taken) == count
    assert all(part == sorted(part) for part in rows)
    assert sorted(rows[0] + rows[1]) == list(range(len(labels)))
    expected = count * np.bincount(labels) / len(labels)
    assert np.abs(np.bincount(taken.known_labels, minlength=3) - expected).max() <= 1
    assert set(rows[1]) <= set(set_aside(images, count + 1, seed)[1].images[:, 0, 0, 0].tolist())


def test_trusted_part_raises_when_it_takes_a_whole_class():
    with pytest.raises(DataError, match="insects: setting 5 of 6 images aside leaves none of class 'ant'"):
        set_aside(numbered_set([0, 1, 1, 2, 2, 2]), 5)
