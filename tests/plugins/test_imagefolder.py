"""The data set ``imagefolder``: which images and classes it reads, in which order, and what it refuses."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
from image_files import levels, plain, write_images

from ucbench.data.loading import load_dataset
from ucbench.errors import DataError, UnmetRequestError
from ucbench_datasets.imagefolder import ImageFolder
from ucbench_datasets.params import ImageFolderParams


def imagefolder(path, **options):
    return ImageFolder(ImageFolderParams(path=path, **options))


class TestImageFolder:
    @pytest.mark.parametrize("test", ["test", "val"])
    def test_imagefolder_loads_split_folders(self, tmp_path, test):
        write_images(tmp_path / "train", bee=[3, 1, 2], Ant=[5, 4])
        write_images(tmp_path / test, bee=[11], Ant=[10])
        loaded = load_dataset(imagefolder(tmp_path), ImageFolderParams(path=tmp_path))
        assert loaded.train.classes == ("Ant", "bee")
        assert (levels(loaded.train), loaded.train.labels.tolist()) == ([4, 5, 1, 2, 3], [0, 0, 1, 1, 1])
        assert levels(loaded.test) == [10, 11]

    def test_imagefolder_order_is_independent_of_the_file_system(self, tmp_path, monkeypatch):
        write_images(tmp_path, b=range(10), a=range(10, 20), c=range(20, 30))
        (tmp_path / "b" / "more").mkdir()
        (tmp_path / "b" / "more" / "x.png").write_bytes(plain(99))
        expected = imagefolder(tmp_path).load("train")
        scandir = os.scandir

        @contextlib.contextmanager
        def reversed_scandir(folder):
            with scandir(folder) as entries:
                yield sorted(entries, key=lambda entry: entry.name, reverse=True)

        monkeypatch.setattr(os, "scandir", reversed_scandir)
        assert imagefolder(tmp_path).load("train").fingerprint == expected.fingerprint

    def test_imagefolder_sorts_classes_by_plain_text(self, tmp_path):
        write_images(tmp_path, **{"10": [1], "9": [2], "b": [3], "B": [4]})
        assert imagefolder(tmp_path).load("train").classes == ("10", "9", "B", "b")

    def test_imagefolder_holdout_splits_every_class_independently_of_subset_seed(self, tmp_path):
        write_images(tmp_path, a=range(10), b=range(10, 30))
        one, other = imagefolder(tmp_path, holdout=0.2), imagefolder(tmp_path, holdout=0.2, subset_seed=5)
        assert sorted(levels(one.load("train")) + levels(one.load("test"))) == list(range(30))
        assert np.bincount(one.load("test").labels).tolist() == [2, 4]
        assert levels(other.load("test")) == levels(one.load("test"))

    def test_imagefolder_flat_folder_can_be_all_training_data(self, tmp_path):
        write_images(tmp_path, a=range(10), b=range(10, 20))
        params = ImageFolderParams(path=tmp_path, validation=0.2)
        loaded = load_dataset(ImageFolder(params), params)
        assert (len(loaded.train), len(loaded.test)) == (16, 4)
        with pytest.raises(DataError, match=r"holdout=0\.2"):
            imagefolder(tmp_path).load("test")

    def test_imagefolder_ignores_hidden_and_non_image_files(self, tmp_path):
        write_images(tmp_path, a=[1], b=[2])
        (tmp_path / "a" / "notes.txt").write_text("not an image")
        (tmp_path / "a" / "._001.png").write_text("a resource fork")
        write_images(tmp_path / "a" / ".checkpoints", x=[7])
        write_images(tmp_path, **{".cache": [8]})
        assert levels(imagefolder(tmp_path).load("train")) == [1, 2]

    def test_imagefolder_damaged_image_is_named(self, tmp_path):
        write_images(tmp_path, a=[1], b=[2])
        (tmp_path / "b" / "broken.jpg").write_bytes(b"not a jpeg")
        with pytest.raises(DataError, match=r"b/broken\.jpg: cannot be read as an image"):
            imagefolder(tmp_path).load("train")

    def test_imagefolder_refuses_a_single_class(self, tmp_path):
        write_images(tmp_path, a=range(5))
        params = ImageFolderParams(path=tmp_path, holdout=0.2)
        with pytest.raises(DataError, match="all images are of one class, 'a'"):
            load_dataset(ImageFolder(params), params)

    def test_imagefolder_missing_or_empty_folder_raises_data_error(self, tmp_path):
        with pytest.raises(UnmetRequestError, match="gone is not a folder"):
            imagefolder(tmp_path / "gone").load("train")
        with pytest.raises(DataError, match="holds no class folders"):
            imagefolder(tmp_path).load("train")
