"""Damaged images of folders and parquet files: refused, with advice that works, or left out and named."""

from __future__ import annotations

import shutil

import pytest
from image_files import folders, levels, plain, tables, two_tables, write_images, write_parquet, write_splits

from ucbench.errors import DataError
from ucbench_datasets.params import ImageFolderParams


def fingerprints(loaded):
    return loaded.train.fingerprint, loaded.test.fingerprint


def test_damaged_images_of_both_splits_are_named_at_once_and_either_advice_loads(tmp_path):
    write_splits(tmp_path)
    damaged = [tmp_path / "train" / "cat" / "x.png", tmp_path / "test" / "dog" / "y.png"]
    damaged[0].write_bytes(plain(5, 2, 2)[:45])  # its header says that it is smaller than the others
    damaged[1].write_bytes(b"no image")
    message = r"^2 images cannot be read\. .* with damaged=leave-out:\n.*cat/x\.png: .*\n.*dog/y\.png: "
    with pytest.raises(DataError, match=message):
        folders(tmp_path)
    without = folders(tmp_path, damaged="leave-out")
    assert without.inventory.damaged == ("train/cat/x.png", "test/dog/y.png")
    for file in damaged:
        file.unlink()
    assert fingerprints(folders(tmp_path)) == fingerprints(without)


def test_left_out_image_moves_no_other_between_the_splits_of_holdout(tmp_path):
    write_images(tmp_path, cat=range(1, 6), dog=range(6, 11))
    before = folders(tmp_path, holdout=0.4)
    (tmp_path / "cat" / "003.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"003\.png: .*\. Repair or remove it, or .* with damaged=leave-out\.$"):
        folders(tmp_path, holdout=0.4)
    after = folders(tmp_path, holdout=0.4, damaged="leave-out")
    for split in ("train", "test"):
        assert levels(getattr(after, split)) == [level for level in levels(getattr(before, split)) if level != 3]
    assert after.inventory.damaged == ("cat/003.png",)


def test_class_of_damaged_images_alone_is_noted(tmp_path):
    write_splits(tmp_path)
    write_images(tmp_path / "train", emu=[5])
    for file in (tmp_path / "train" / "dog").iterdir():
        file.write_bytes(b"")
    shutil.rmtree(tmp_path / "test" / "dog")
    loaded = folders(tmp_path, damaged="leave-out")
    assert loaded.train.classes == ("cat", "emu")
    assert "without the class 'dog'" in loaded.note


def test_left_out_rows_are_named_and_the_others_keep_their_labels(tmp_path):
    two_tables(tmp_path)
    write_parquet(tmp_path / "train.parquet", [plain(1), b"no image", plain(3)], label=[0, 0, 1])
    with pytest.raises(DataError, match=r"train\.parquet row 1: .*damaged=leave-out"):
        tables(tmp_path)
    loaded = tables(tmp_path, damaged="leave-out")
    assert (levels(loaded.train), loaded.train.labels.tolist()) == ([1, 3], [0, 1])
    assert loaded.inventory.damaged == ("train.parquet row 1",)


def test_left_out_rows_leave_further_label_sets_in_step(tmp_path):
    names = {"label": ["cat", "dog"], "wild": ["no", "yes"]}
    two_tables(tmp_path, names=names, label=[0, 1], wild=[0, 1])
    images = [plain(1), b"no image", plain(3)]
    write_parquet(tmp_path / "train.parquet", images, names, label=[0, 0, 1], wild=[0, 1, 1])
    assert tables(tmp_path, damaged="leave-out").train.label_sets["wild"].labels.tolist() == [0, 1]


def test_identity_holds_the_option_only_where_images_are_left_out():
    identity, leaving_out = (ImageFolderParams(path="a", damaged=value).identity() for value in ("refuse", "leave-out"))
    assert leaving_out == {**identity, "damaged": "leave-out"}
    assert "damaged" not in identity
