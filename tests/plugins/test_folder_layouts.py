"""Folders whose layout contradicts itself: refused, with advice that works, or read rightly."""

from __future__ import annotations

import shutil
import unicodedata

import numpy as np
import pytest
from image_files import folders, levels, plain, write_images, write_splits

from ucbench.errors import DataError, UnmetRequestError


@pytest.fixture
def split(tmp_path):
    """``train/`` and ``test/`` with the classes cat (1, 2; 11) and dog (3, 4; 12)."""
    return write_splits(tmp_path)


@pytest.fixture
def flat(tmp_path):
    """The class folders cat (1 to 5) and dog (6 to 10)."""
    write_images(tmp_path, cat=range(1, 6), dog=range(6, 11))
    return tmp_path


class TestSplitFolders:
    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("Train", "TEST"),
            ("training", "testing"),
            ("TRAIN", "Valid"),
            ("train", "validation"),
            ("pets-train", "pets-test"),
            ("data_train", "data_val"),
            ("train2017", "val2017"),
        ],
    )
    def test_split_folders_are_known_by_their_word_in_any_case(self, split, train, test):
        (split / "train").rename(split / "_").rename(split / train)
        (split / "test").rename(split / "_").rename(split / test)
        loaded = folders(split)
        assert (levels(loaded.train), levels(loaded.test)) == ([1, 2, 3, 4], [11, 12])
        assert loaded.train.classes == ("cat", "dog")
        assert loaded.inventory.train.served == (f"{train}/",)
        assert loaded.inventory.test.served == (f"{test}/",)

    def test_split_folders_may_lie_in_a_single_folder(self, split):
        (split / "pets").mkdir()
        for name in ("train", "test"):
            (split / name).rename(split / "pets" / name)
        assert folders(split).inventory.train.served == ("pets/train/",)

    def test_holdout_beside_a_test_split_is_refused_and_leaving_it_out_loads(self, split):
        with pytest.raises(UnmetRequestError, match=r"has a test split\. Leave out holdout=0\.2"):
            folders(split, holdout=0.2)
        assert len(folders(split).test) == 2

    def test_holdout_of_a_training_split_is_refused_and_validation_loads(self, split):
        shutil.rmtree(split / "test")
        with pytest.raises(UnmetRequestError, match=r"Ask for validation=0\.2"):
            folders(split, holdout=0.2)
        assert len(folders(split, validation=0.2).test) == 2

    def test_missing_test_split_is_refused_and_validation_loads(self, split):
        shutil.rmtree(split / "test")
        with pytest.raises(UnmetRequestError, match=r"ask for validation=0\.2"):
            folders(split)
        assert len(folders(split, validation=0.2).test) == 2

    def test_flat_folder_without_holdout_is_refused_and_holdout_loads(self, flat):
        with pytest.raises(DataError, match=r"holdout=0\.2"):
            folders(flat)
        assert len(folders(flat, holdout=0.2).test) == 2

    def test_test_folder_among_classes_is_refused_and_moving_it_away_loads(self, flat, tmp_path_factory):
        write_images(flat / "Test", cat=[20])
        with pytest.raises(
            DataError, match=r"Test/, which names a split, and no train/.*move Test/ away.*holdout=0\.2"
        ):
            folders(flat, holdout=0.2)
        shutil.move(flat / "Test", tmp_path_factory.mktemp("away"))
        assert folders(flat, holdout=0.2).train.classes == ("cat", "dog")

    def test_two_folders_of_one_split_are_refused_and_keeping_one_loads(self, split):
        write_images(split / "Train", cat=[5], dog=[6])
        with pytest.raises(DataError, match=r"Train/, train/ in .* each name the train split. Keep one"):
            folders(split)
        shutil.rmtree(split / "Train")
        assert len(folders(split).train) == 4

    def test_class_folders_beside_splits_are_refused_and_moving_them_loads(self, split, tmp_path_factory):
        write_images(split, cat=[5])
        with pytest.raises(DataError, match=r"beside it, the class folders cat/\. Move these away"):
            folders(split)
        shutil.move(split / "cat", tmp_path_factory.mktemp("away"))
        assert len(folders(split).train) == 4

    def test_splits_below_classes_are_refused_and_the_advised_arrangement_loads(self, tmp_path):
        for name, value in (("cat", 1), ("dog", 3)):
            write_images(tmp_path / name, train=[value], test=[value + 10])
        with pytest.raises(DataError, match=r"cat holds folders that name splits.*train/cat and .*test/cat"):
            folders(tmp_path, validation=0.5)
        for name in ("cat", "dog"):
            for split in ("train", "test"):
                (tmp_path / split).mkdir(exist_ok=True)
                (tmp_path / name / split).rename(tmp_path / split / name)
            (tmp_path / name).rmdir()
        assert levels(folders(tmp_path).test) == [11, 13]

    def test_split_folder_within_train_is_refused_and_moving_it_loads(self, split):
        (split / "test").rename(split / "train" / "test")
        with pytest.raises(DataError, match=r"holds test/, which names a split\. Move it beside train/"):
            folders(split, validation=0.5)
        (split / "train" / "test").rename(split / "test")
        assert len(folders(split).test) == 2

    @pytest.mark.parametrize("names", [("train", "car", "bus"), ("bullet_train", "car"), ("invalid", "valid")])
    def test_class_folders_may_be_called_like_splits(self, tmp_path, names):
        write_images(tmp_path, **{name: range(10 * number, 10 * number + 5) for number, name in enumerate(names)})
        assert folders(tmp_path, holdout=0.2).train.classes == tuple(sorted(names))

    def test_folders_within_a_class_may_be_called_like_splits(self, flat):
        write_images(flat / "train_station", platform=[20, 21], hall=[22, 23])
        assert folders(flat, holdout=0.2).train.classes == ("cat", "dog", "train_station")


class TestClassFolders:
    def test_class_missing_in_test_is_noted(self, split):
        shutil.rmtree(split / "test" / "cat")
        loaded = folders(split)
        assert loaded.test.classes == ("cat", "dog")
        assert loaded.test.labels.tolist() == [1]
        assert "no test images of the class 'cat'" in loaded.note
        assert loaded.inventory.test.per_class == {"cat": 0, "dog": 1}

    def test_class_only_in_test_is_refused_and_either_advice_loads(self, split):
        write_images(split / "test", emu=[13])
        with pytest.raises(DataError, match=r"images of 'emu'.* Add training images, or remove these"):
            folders(split)
        write_images(split / "train", emu=[5])
        assert folders(split).test.labels.tolist() == [0, 1, 2]
        for name in ("train", "test"):
            shutil.rmtree(split / name / "emu")
        assert len(folders(split).test) == 2

    @pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
    def test_accented_class_matches_in_either_encoding_and_keeps_the_training_name(self, split, forms):
        for name, form in zip(("train", "test"), forms, strict=True):
            (split / name / "cat").rename(split / name / unicodedata.normalize(form, "café"))
        loaded = folders(split)
        assert loaded.train.classes == loaded.test.classes == (unicodedata.normalize(forms[0], "café"), "dog")
        assert loaded.test.labels.tolist() == [0, 1]

    def test_class_folders_equal_but_for_encoding_are_refused_and_merging_loads(self, split):
        names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
        write_images(split / "train", **{names[0]: [5], names[1]: [6]})
        with pytest.raises(DataError, match=r"two folders of class 'café'. Merge them"):
            folders(split)
        shutil.copytree(split / "train" / names[1], split / "train" / names[0], dirs_exist_ok=True)
        shutil.rmtree(split / "train" / names[1])
        assert len(folders(split).train) == 6

    def test_passed_over_files_are_named_with_the_reason(self, split):
        cat = split / "train" / "cat"
        (cat / "image").write_bytes(plain(9))
        (cat / "Thumbs.db").write_bytes(b"")
        (cat / "._001.png").write_bytes(b"")
        write_images(cat / "@eaDir", x=[7])
        write_images(cat / ".thumbnails", x=[7])
        write_images(split / "@eaDir", x=[7])
        write_images(split / "more", x=[7])
        (split / "train" / "loose.png").write_bytes(plain(8))
        loaded = folders(split)
        assert levels(loaded.train) == [1, 2, 3, 4]
        assert {reason: set(names) for reason, names in loaded.inventory.passed_over.items()} == {
            "files without an image's suffix": {"train/cat/image"},
            "system files": {"train/cat/Thumbs.db", "train/cat/@eaDir/", "@eaDir/"},
            "hidden": {"train/cat/._001.png", "train/cat/.thumbnails/"},
            "folders that name no split": {"more/"},
            "files outside class folders": {"train/loose.png"},
        }

    @pytest.mark.parametrize("name", ["a.jfif", "a.JPE", "a.avif"])
    def test_every_known_suffix_is_read_in_any_case(self, split, name):
        (split / "train" / "cat" / name).write_bytes(plain(9))
        assert len(folders(split).train) == 5

    def test_linked_folders_are_followed_once(self, split, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        write_images(elsewhere, more=[9])
        (split / "train" / "cat" / "linked").symlink_to(elsewhere)
        (split / "train" / "cat" / "around").symlink_to(split / "train" / "cat")
        (split / "train" / "around").symlink_to("../..")
        loaded = folders(split)
        assert sorted(levels(loaded.train)) == [1, 2, 3, 4, 9]
        assert loaded.inventory.passed_over == {"links to a folder around them": ("train/around/", "train/cat/around/")}

    def test_dangling_links_are_all_named_and_removing_them_loads(self, split):
        for number in range(25):
            (split / "train" / "cat" / f"link{number:02}.png").symlink_to("nowhere")
        with pytest.raises(DataError, match=r"train/cat/link00\.png.*link19\.png and 5 more.*remove"):
            folders(split)
        for link in (split / "train" / "cat").glob("link*"):
            link.unlink()
        assert len(folders(split).train) == 4


def test_small_image_that_would_shrink_all_is_refused_and_each_advice_loads(split):
    for number in range(3):
        (split / "train" / "cat" / f"large{number}.png").write_bytes(plain(9, 40, 40))
        (split / "train" / "dog" / f"large{number}.png").write_bytes(plain(9, 40, 40))
    for file in split.glob("t*/*/0*.png"):
        file.write_bytes(plain(int(file.stem), 40, 40))
    banner = split / "train" / "cat" / "banner.png"
    banner.write_bytes(plain(9, 5, 90))
    with pytest.raises(DataError, match=r"1 of 11 .*banner\.png \(5x90, .* size=40, or keep their size with size=5\."):
        folders(split)
    assert folders(split, size=40).train.size == (40, 40)
    assert folders(split, size=5).train.size == (5, 5)
    banner.unlink()
    assert folders(split).train.size == (40, 40)


def test_repeated_images_are_counted_within_and_across_splits_and_classes(split):
    for source, target in [
        ("train/cat/001", "train/cat/a"),
        ("train/cat/001", "test/cat/a"),
        ("train/dog/003", "test/cat/b"),
    ]:
        shutil.copy(split / f"{source}.png", split / f"{target}.png")
    inventory = folders(split).inventory
    assert (inventory.train.repeated, inventory.test.repeated, inventory.shared, inventory.relabeled) == (1, 0, 2, 1)
    assert "  repeated images: 1 in train, 2 of test that are in train too, 1 under another class" in inventory.lines()
    assert np.sum(list(inventory.train.per_class.values())) == inventory.train.images == 5
