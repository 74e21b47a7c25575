"""What an inventory counts, prints and puts into a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ucbench.data.imageset import ImageSet
from ucbench.data.inventory import Inventory, Sources, with_damaged
from ucbench.data.loading import load_dataset
from ucbench.data.params import DatasetParams

CLASSES = ("ant", "bee", "cat")


def image_set(values, labels, classes=CLASSES):
    """Images of 24 x 24 pixels that are equal but for the last value."""
    images = np.zeros((len(values), 3, 24, 24), np.uint8)
    images[:, -1, -1, -1] = values
    return ImageSet(images, np.array(labels, np.int64), tuple(classes))


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=12)


@given(train=ROWS, test=ROWS)
def test_inventory_counts_repeats_as_a_comparison_of_all_pairs_does(train, test):
    inventory = Inventory.of(image_set(*zip(*train, strict=True)), image_set(*zip(*test, strict=True)), {})
    trained, tested = ([value for value, _ in rows] for rows in (train, test))
    assert inventory.train.repeated == len(trained) - len(set(trained))
    assert inventory.test.repeated == len(tested) - len(set(tested))
    assert inventory.shared == sum(value in trained for value in tested)
    first = dict(reversed(train + test))
    assert inventory.relabeled == sum(first[value] != label for value, label in train + test)


def test_inventory_sees_images_equal_in_a_sample_of_pixels_as_different():
    different = image_set([1, 2], [0, 1])
    assert Inventory.of(different, different.subset(np.array([0])), {}).train.repeated == 0


def test_inventory_prints_few_lines_for_many_classes_and_files():
    classes = [f"class{number}" for number in range(1000)]
    images = image_set(np.arange(1000) % 250, range(1000), classes)
    sources = Sources([f"{number}.parquet" for number in range(200)], {"hidden": ["a"] * 500})
    lines = Inventory.of(images, images, {"train": sources, "test": sources}).lines()
    assert len(lines) == 4
    assert max(map(len, lines)) < 250
    assert lines[0] == (
        "  train: 1000 images from 0.parquet, 1.parquet, 2.parquet, 3.parquet, 4.parquet and 195 more: "
        "1 of each class (class0, class1, class2, class3, class4 and 995 more)"
    )


def test_inventory_names_what_either_split_passed_over_once():
    images = image_set([1, 2], [0, 1])
    sources = {
        "train": Sources(["train/"], {"hidden": ["a", "b"]}),
        "test": Sources(["test/"], {"hidden": ["b"], "links": ["c"]}),
    }
    inventory = Inventory.of(images, images, sources)
    assert inventory.passed_over == {"hidden": ("a", "b"), "links": ("c",)}
    assert inventory.lines()[2] == "  passed over: a, b (hidden); c (links)"


def test_inventory_names_twenty_damaged_images_of_both_splits_and_counts_the_others():
    images = image_set([1, 2], [0, 1])
    sources = {
        "train": with_damaged(Sources(root=Path("pets")), [f"pets/train/{number}.png" for number in range(24)]),
        "test": with_damaged(Sources(), ["pets/x.png"]),
    }
    inventory = Inventory.of(images, images, sources)
    assert inventory.damaged[-2:] == ("train/23.png", "pets/x.png")
    assert inventory.lines()[2].startswith("  left out, damaged: train/0.png, train/1.png, ")
    assert inventory.lines()[2].endswith(", train/19.png and 5 more")
    assert inventory.compact()["damaged"] == inventory.lines()[2].removeprefix("  left out, damaged: ")
    assert "damaged" not in Inventory.of(images, images, {}).compact()


def test_inventory_of_uneven_classes_lists_counts_and_a_missing_class():
    images = image_set([1, 2, 3], [0, 0, 2])
    inventory = Inventory.of(images, images, {"train": Sources(["train/"])})
    assert inventory.lines()[0] == "  train: 3 images from train/ (ant: 2, bee: 0, cat: 1)"
    assert inventory.train.compact() == {"served": "train/", "per_class": [0, 2], "repeated": 0}


class Given:
    """A data set of a plugin that is no FramedDataset."""

    sources = {"train": Sources(["camera 1"]), "test": Sources(["camera 2"])}  # noqa: RUF012

    def load(self, split):
        return image_set([1, 2, 3], [0, 1, 2]) if split == "train" else image_set([4], [0])


def test_load_takes_sources_of_any_dataset():
    loaded = load_dataset(Given(), DatasetParams())
    assert (loaded.inventory.train.served, loaded.inventory.test.served) == (("camera 1",), ("camera 2",))


def test_load_counts_the_images_that_a_subset_and_validation_leave():
    class Many(Given):
        def load(self, split):
            return image_set(range(30), np.arange(30) % 3)

    loaded = load_dataset(Many(), DatasetParams(validation=0.2, train_per_class=4))
    assert loaded.inventory.train.per_class == dict.fromkeys(CLASSES, 4)
    assert loaded.inventory.test.per_class == dict.fromkeys(CLASSES, 2)
