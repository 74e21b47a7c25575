"""Folders that ``ucbench export`` wrote, read as data sets: classes have their names, and no other folder changes."""

from __future__ import annotations

import unicodedata

import pytest
from image_files import folders, write_images

from ucbench.errors import DataError
from ucbench.export.release import COLUMNS

LIST = (
    ",".join(COLUMNS),
    "images/0-Cat_Co/001.png,Cat & Co,0,0,no,x",
    "images/0-Cat_Co/002.png,Cat & Co,0,1,no,x",
    "images/1/003.png,été,1,2,no,x",
    "images/1/004.png,été,1,3,no,x",
)


@pytest.fixture
def export(tmp_path):
    """The classes ``Cat & Co`` (1, 2) and ``été`` (3, 4), whose folders an export calls ``0-Cat_Co`` and ``1``."""
    write_images(tmp_path / "export" / "images", **{"0-Cat_Co": [1, 2], "1": [3, 4]})
    (tmp_path / "export" / "labels.csv").write_text("\n".join(LIST), encoding="utf-8")
    return tmp_path / "export"


@pytest.mark.parametrize("place", [".", "images"])
def test_classes_have_the_names_of_the_list_in_the_order_of_its_labels(export, place):
    loaded = folders(export / place, validation=0.5)
    assert loaded.train.classes == ("Cat & Co", "été")
    assert loaded.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize("linked", ["export", "export/images"])
def test_exported_training_split_meets_test_folders_of_plain_names(export, tmp_path, linked):
    write_images(tmp_path / "set" / "test", **{unicodedata.normalize("NFD", "été"): [12], "Cat & Co": [11]})
    (tmp_path / "set" / "train").symlink_to(tmp_path / linked)
    loaded = folders(tmp_path / "set")
    assert (loaded.train.classes, loaded.test.labels.tolist()) == (("Cat & Co", "été"), [0, 1])


def test_files_beside_exported_images_are_passed_over_by_name(export):
    passed_over = folders(export, holdout=0.5).inventory.passed_over
    assert passed_over == {"beside the images of an exported release": ("labels.csv",)}


@pytest.mark.parametrize("text", ["file,class\nimages/0-Cat_Co/1.png,Cat\n", "", "\xff\0", None])
def test_folders_beside_any_other_list_keep_their_names(export, text):
    (export / "labels.csv").unlink()
    if text is not None:
        (export / "labels.csv").write_text(text, encoding="latin-1")
    assert folders(export / "images", holdout=0.5).train.classes == ("0-Cat_Co", "1")


@pytest.mark.parametrize(
    "line", ["images/0-Cat_Co/5.png,Dog,0,4,no,x", "0-Cat_Co", "images/0-Cat_Co/5.png", "images/../1/5.png,Dog", "é"]
)
def test_damaged_list_is_refused_and_folders_load_without_it(export, line):
    (export / "labels.csv").write_text("\n".join([*LIST, line]), encoding="latin-1")
    with pytest.raises(DataError, match=r"labels\.csv is damaged: .*Export the release again"):
        folders(export, holdout=0.5)
    (export / "labels.csv").unlink()
    assert folders(export / "images", holdout=0.5).train.classes == ("0-Cat_Co", "1")
