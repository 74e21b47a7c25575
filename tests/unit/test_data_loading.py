"""From a data set component to training and test set: subsets, validation, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.loading import load_dataset
from ucbench.data.params import DatasetParams
from ucbench.errors import ContractError, DataError, UsageError
from ucbench.plugins.params import Params

CLASSES = ("ant", "bee", "cat", "dog")


def numbered_set(labels, name, classes=CLASSES, first=0, side=4, **fields):
    """Every pixel of image i is ``first + i``."""
    rows = np.arange(first, first + len(labels)).astype(np.uint8)
    images = np.broadcast_to(rows[:, None, None, None], (len(labels), 3, side, side))
    return ImageSet(images=images, labels=np.array(labels, np.int64), classes=classes, name=name, **fields)


class Given:
    """A data set that returns the given splits and remembers which were requested."""

    note = "as given"

    def __init__(self, train, test=None):
        self.splits = {"train": train, "test": test}
        self.requested = []

    def load(self, split):
        self.requested.append(split)
        return self.splits[split]


@pytest.fixture
def animals():
    return Given(numbered_set(np.arange(80) % 4, "train"), numbered_set(np.arange(20) % 4, "test", first=100))


def numbers(images):
    return images.images[:, 0, 0, 0].tolist()


def test_load_changes_nothing_by_default(animals):
    loaded = load_dataset(animals, DatasetParams())
    assert loaded.train is animals.splits["train"]
    assert loaded.test is animals.splits["test"]
    assert loaded.note == "as given"


def test_load_ignores_parameters_of_another_kind(animals):
    assert load_dataset(animals, Params()).train is animals.splits["train"]


def test_load_accepts_a_dataset_without_notes(animals):
    del type(animals).note
    try:
        assert load_dataset(animals, DatasetParams()).note == ""
    finally:
        type(animals).note = "as given"


def test_load_takes_subsets_of_both_splits(animals):
    loaded = load_dataset(animals, DatasetParams(train_per_class=5, test_per_class=2, subset_seed=9))
    assert np.bincount(loaded.train.labels).tolist() == [5] * 4
    assert np.bincount(loaded.test.labels).tolist() == [2] * 4
    assert min(numbers(loaded.test)) >= 100
    assert loaded.note == "as given; 5 training images a class; 2 test images a class; drawn with subset_seed=9"


def test_validation_is_drawn_from_training_without_reading_test(animals):
    loaded = load_dataset(animals, DatasetParams(validation=0.25))
    assert animals.requested == ["train"]
    assert sorted(numbers(loaded.train) + numbers(loaded.test)) == list(range(80))
    assert np.bincount(loaded.test.labels).tolist() == [5] * 4
    assert "20 of the 80 training images are the test split" in loaded.note


def test_subset_knows_its_rows_in_the_whole_training_split(animals):
    train = load_dataset(animals, DatasetParams(train_per_class=5, validation=0.25)).train
    assert train.part.rows.tolist() == numbers(train)
    assert train.part.count == 80
    assert numbers(train.subset(np.array([2, 0]))) == train.subset(np.array([2, 0])).part.rows.tolist()


def test_validation_part_is_independent_of_the_subset(animals):
    whole = load_dataset(animals, DatasetParams(validation=0.25))
    part = load_dataset(animals, DatasetParams(validation=0.25, train_per_class=3))
    assert numbers(part.test) == numbers(whole.test)
    assert set(numbers(part.train)) <= set(numbers(whole.train))


def test_empty_classes_are_dropped_and_labels_renumbered():
    loaded = load_dataset(Given(numbered_set([3, 1, 1, 3], "train"), numbered_set([1, 3], "test")), DatasetParams())
    assert loaded.train.classes == loaded.test.classes == ("bee", "dog")
    assert loaded.train.labels.tolist() == [1, 0, 0, 1]
    assert loaded.test.labels.tolist() == [0, 1]
    assert "'ant', 'cat'" in loaded.note


def test_empty_classes_are_dropped_from_validation():
    loaded = load_dataset(Given(numbered_set([3, 1] * 5, "train")), DatasetParams(validation=0.2))
    assert loaded.test.classes == ("bee", "dog")
    assert sorted(loaded.test.labels.tolist()) == [0, 1]


def test_class_only_in_the_test_split_is_refused():
    given = Given(numbered_set([0, 1], "train"), numbered_set([0, 3], "test"))
    with pytest.raises(DataError, match="test has images of the class 'dog', but train has none"):
        load_dataset(given, DatasetParams())


@pytest.mark.parametrize("params", [DatasetParams(), DatasetParams(validation=0.5)])
def test_load_raises_on_a_single_class(params):
    with pytest.raises(DataError, match="all images are of one class, 'bee'"):
        load_dataset(Given(numbered_set([1, 1, 1], "train"), numbered_set([1], "test")), params)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("ant", "bee", "dog", "cat"), "class 2 is 'cat' in one and 'dog'"),
        ((*CLASSES, "emu"), "one has 4, the other 5"),
    ],
)
def test_load_raises_when_splits_disagree_on_classes(animals, classes, message):
    animals.splits["test"] = dataclasses.replace(animals.splits["test"], classes=classes)
    with pytest.raises(DataError, match=message):
        load_dataset(animals, DatasetParams())


def test_load_raises_when_splits_disagree_on_label_sets(animals):
    coarse = {"coarse": LabelSet(np.zeros(80, np.int64), ("all",))}
    animals.splits["train"] = dataclasses.replace(animals.splits["train"], label_sets=coarse)
    with pytest.raises(DataError, match="label sets coarse"):
        load_dataset(animals, DatasetParams())


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0], [0, 1], "train split has 1 images; at least 2"),
        ([0, 1], [], "test split has 0 images; at least 1"),
    ],
)
def test_load_raises_on_too_few_images(train, test, message):
    with pytest.raises(DataError, match=message):
        load_dataset(Given(numbered_set(train, "a"), numbered_set(test, "b")), DatasetParams())


def test_load_raises_on_a_split_without_labels(animals):
    animals.splits["train"] = animals.splits["train"].with_labels(None)
    with pytest.raises(DataError, match="no labels"):
        load_dataset(animals, DatasetParams())


def test_load_raises_when_splits_differ_in_image_size(animals):
    animals.splits["test"] = numbered_set([0, 1], "test", side=8)
    with pytest.raises(ContractError, match="one size"):
        load_dataset(animals, DatasetParams())


def test_load_raises_when_a_split_is_not_an_image_set(animals):
    animals.splits["train"] = [1, 2]
    with pytest.raises(ContractError, match=r"Given.load\('train'\) returned list"):
        load_dataset(animals, DatasetParams())


class TestParams:
    @pytest.mark.parametrize("options", [{"resize": "40"}, {"size": "40", "resize": "32"}])
    def test_resize_requires_a_size(self, options):
        with pytest.raises(UsageError, match="resize="):
            DatasetParams.resolve("dataset 'x'", options=options)

    def test_seed_is_dropped_when_nothing_is_drawn(self):
        one, other = ({"subset_seed": seed} for seed in (1, 2))
        assert DatasetParams(**one).identity() == DatasetParams(**other).identity()
        for draw in ({"train_per_class": 5}, {"test_per_class": 5}, {"validation": 0.5}):
            assert DatasetParams(**one, **draw).identity() != DatasetParams(**other, **draw).identity()
