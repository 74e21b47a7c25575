"""Coarser classes, from the data set or from a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.loading import load_dataset
from ucbench.errors import UsageError
from ucbench.plugins.grammar import ComponentRef
from ucbench.plugins.registry import Component, installed
from ucbench.testing import check_labeling, make_run, sample_images

CLEAN, TEST = sample_images(20, classes=4, name="shapes"), sample_images(9, classes=4, seed=1, name="test")
BY_CLASS = '"class 0" = "round"\n"class 1" = "flat"\n"class 2" = "round"\n"class 3" = "tall"\n'
BY_COARSE = 'tall = ["class 3"]\nround = ["class 2", "class 0"]\nflat = ["class 1"]\n'
BY_BOTH = 'flat = ["class 1"]\n"class 3" = "tall"\nround = ["class 2", "class 0"]\n'
NUMBER = np.array([0, 1, 0, 2])


def resolved(map_: str | Path) -> Component:
    return installed().resolve("labeling", ComponentRef("coarse", argument=str(map_)))


def apply(map_: str | Path, clean: ImageSet = CLEAN, test: ImageSet = TEST) -> tuple[ImageSet, ImageSet]:
    return resolved(map_).build().apply(clean, clean, test, make_run(stage="labeling"))


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "map.toml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def with_set(images: ImageSet, labels: np.ndarray, classes: tuple[str, ...], name: str = "coarse") -> ImageSet:
    return dataclasses.replace(images, label_sets={name: LabelSet(labels.astype(np.int64), classes)})


class TestLabelSets:
    def test_coarse_defaults_to_the_label_set_named_coarse(self):
        clean, test = (with_set(images, images.known_labels // 2, ("a", "b")) for images in (CLEAN, TEST))
        train, scoring = (
            installed().resolve("labeling", "coarse").build().apply(clean, clean, test, make_run(stage="labeling"))
        )
        np.testing.assert_array_equal(train.known_labels, CLEAN.known_labels // 2)
        np.testing.assert_array_equal(scoring.known_labels, TEST.known_labels // 2)
        assert train.classes == scoring.classes == ("a", "b")

    def test_coarse_selects_a_label_set_by_name(self):
        train, scoring = apply("parity")
        np.testing.assert_array_equal(train.known_labels, CLEAN.known_labels % 2)
        np.testing.assert_array_equal(scoring.known_labels, TEST.known_labels % 2)

    def test_coarse_drops_classes_without_images_from_both_sets(self):
        names = ("none", "even", "nor this", "odd")
        clean, test = (with_set(images, 1 + 2 * (images.known_labels % 2), names) for images in (CLEAN, TEST))
        train, scoring = apply("coarse", clean, test)
        assert train.classes == scoring.classes == ("even", "odd")
        np.testing.assert_array_equal(train.known_labels, CLEAN.known_labels % 2)
        np.testing.assert_array_equal(scoring.known_labels, TEST.known_labels % 2)

    def test_coarse_refuses_a_test_class_without_training_images(self):
        clean = with_set(CLEAN, CLEAN.known_labels % 2, ("even", "odd", "ghost"))
        test = with_set(TEST, np.full(len(TEST), 2), ("even", "odd", "ghost"))
        with pytest.raises(UsageError, match=r"test has images of 'ghost' \(label set 'coarse'\), but shapes has none"):
            apply("coarse", clean, test)

    def test_coarse_refuses_a_single_class(self):
        clean, test = (with_set(images, np.zeros(len(images)), ("all", "none")) for images in (CLEAN, TEST))
        with pytest.raises(UsageError, match="all images of shapes are of one class of label set 'coarse'"):
            apply("coarse", clean, test)

    def test_coarse_error_lists_label_sets_and_mentions_files(self):
        with pytest.raises(UsageError, match=r"no label set 'coarse'; it has: parity\. .*coarse:FILE\.toml"):
            apply("coarse")
        with pytest.raises(UsageError, match="no label set 'parity'"):
            apply("parity", test=dataclasses.replace(TEST, label_sets={}))


class TestFiles:
    @pytest.mark.parametrize("text", [BY_CLASS, BY_COARSE, BY_BOTH])
    def test_coarse_file_numbers_classes_in_dataset_order(self, write, text):
        train, scoring = apply(write(text))
        assert train.classes == scoring.classes == ("round", "flat", "tall")
        np.testing.assert_array_equal(train.known_labels, NUMBER[CLEAN.known_labels])
        np.testing.assert_array_equal(scoring.known_labels, NUMBER[TEST.known_labels])

    def test_coarse_key_depends_on_the_map_not_on_the_file(self, write):
        one, other = resolved(write(BY_CLASS, "a.toml")), resolved(write("# remark\n" + BY_COARSE, "b.TOML"))
        assert one.identity() == other.identity()
        assert one.identity() == resolved(write(f"\ufeff{BY_CLASS}", "marked.toml")).identity()
        assert one.identity() != resolved(write(BY_CLASS.replace("tall", "flat"), "c.toml")).identity()

    def test_coarse_file_keeps_the_contract(self, write):
        check_labeling(resolved(write('x = ["class 0", "class 2"]\ny = ["class 1"]\n')))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('a = ["class 0", "class 1"]\nb = ["class 1"]', "key 'b' puts class 'class 1' into 'b', but it is in 'a'"),
            ('a = ["class 0", "class 0"]', "key 'a' puts class 'class 0' into 'a'"),
            ('"class 0" = "b"\nb = ["class 0"]', "key 'b' puts class 'class 0'"),
            (BY_CLASS + 'extra = ["clas 3"]', r"'clas 3' \(put into 'extra'\) is not a class of shapes. Did you mean"),
            (BY_CLASS.partition("\n")[2], "leaves out 'class 0' of shapes"),
            (BY_CLASS.replace('"flat"', "1"), "the value of key 'class 1' must be"),
            ("a = [0, 1]", "the value of key 'a' must be"),
            ("a = []", "the value of key 'a' must be"),
            ('a = ""', "the value of key 'a' must be"),
            ('[animals]\n"class 0" = "a"', "the value of key 'animals' must be"),
            ('all = ["class 0", "class 1", "class 2", "class 3"]', "puts every class into 'all'; at least two"),
            ("a = ", "is not valid TOML"),
            ("", "leaves out 'class 0', 'class 1', 'class 2', 'class 3'"),
        ],
    )
    def test_coarse_file_error_names_file_and_entry(self, write, text, problem):
        path = write(text)
        with pytest.raises(UsageError, match=problem) as caught:
            apply(path)
        assert str(path) in str(caught.value)

    def test_coarse_missing_file_raises_at_planning(self, tmp_path):
        with pytest.raises(UsageError, match=r"absent\.toml cannot be read: No such file"):
            resolved(tmp_path / "absent.toml").identity()

    def test_coarse_file_of_another_encoding_is_refused(self, tmp_path):
        (tmp_path / "map.toml").write_bytes(b'a = ["\xff"]')
        with pytest.raises(UsageError, match=r"map\.toml is not valid TOML"):
            apply(tmp_path / "map.toml")


def test_coarse_notes_the_agreement_with_the_labels():
    run = make_run(stage="labeling")
    resolved("parity").build().apply(CLEAN, CLEAN, TEST, run)
    # Of four balanced classes merged by twos.
    assert run.notes["label_agreement"]["normalized_mutual_information"] == pytest.approx(2 / 3)
    assert run.notes["label_agreement"]["matched_accuracy"] == pytest.approx(50)


def test_digits_label_sets_equal_written_maps(write):
    dataset = installed().resolve("dataset", "digits:train_per_class=3,test_per_class=2")
    digits = load_dataset(dataset.build(), dataset.params)
    own = apply("magnitude", digits.train, digits.test)
    written = apply(write(f"small = {list('01234')}\nlarge = {list('56789')}\n"), digits.train, digits.test)
    for one, other in zip(own, written, strict=True):
        np.testing.assert_array_equal(one.known_labels, other.known_labels)
        assert one.classes == other.classes == ("small", "large")
    assert set(apply("parity", digits.train, digits.test)[0].classes) == {"even", "odd"}
