"""The data sets of ``ucbench_datasets`` by name: digits, photographs, CIFAR; and what all share."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from image_files import plain, write_parquet
from imports import imported_by

import ucbench_datasets
from ucbench.data.loading import load_dataset
from ucbench.errors import DataError, UsageError
from ucbench_datasets.cifar import Cifar10, Cifar100
from ucbench_datasets.digits import Digits
from ucbench_datasets.params import (
    Cifar10Params,
    Cifar100Params,
    DigitsParams,
    ParquetParams,
    PhotosParams,
)
from ucbench_datasets.parquet import Parquet
from ucbench_datasets.photos import Photos

SHARED = os.environ.get("UCBENCH_TEST_DATA", "")
needs_shared_data = pytest.mark.skipif(
    not SHARED,
    reason="UCBENCH_TEST_DATA does not name a folder of cifar10/, cifar100/ and caltech101/ parquet files",
)


class TestRecords:
    @pytest.mark.parametrize("record", list(ucbench_datasets.ucbench_datasets()), ids=lambda record: record.name)
    def test_spec_paths_name_existing_classes(self, record):
        for target in (record.load, record.params):
            module, _, name = target.partition(":")
            assert isinstance(getattr(importlib.import_module(module), name), type)

    def test_params_import_no_array_library(self):
        found = imported_by("import ucbench_datasets.params")
        assert found & {"numpy", "torch", "pyarrow", "PIL", "sklearn"} == set()

    def test_identity_excludes_paths(self):
        here = ParquetParams.resolve("dataset 'parquet'", argument="/here", options={"label": "fine_label"})
        there = ParquetParams.resolve("dataset 'parquet'", argument="/there", options={"label": "fine_label"})
        assert here.identity() == there.identity()
        assert "/here" not in json.dumps(here.identity())
        assert Cifar10Params(root="/here", download=False).identity() == Cifar10Params().identity()
        assert Cifar100Params(label="coarse").identity() != Cifar100Params().identity()


class TestDigits:
    def test_digits_split_equals_pinned_fingerprints(self):
        digits = Digits(DigitsParams())
        train, test = digits.load("train"), digits.load("test")
        assert train.fingerprint == "94bd91bd1012450360022bdf5a261f0333eeeb7de1c2ec3a314a0ddd26b02526"
        assert test.fingerprint == "7fcf41653937bc32350ff96b3c2bad27791b445ae48be9d1abae9b2ade30db59"

    def test_digits_splits_share_no_scan_and_omit_none(self):
        from sklearn.datasets import load_digits

        loaded = load_dataset(Digits(DigitsParams()), DigitsParams())
        assert (len(loaded.train), len(loaded.test)) == (1297, 500)
        assert np.bincount(loaded.test.labels).tolist() == [50] * 10
        ours = np.concatenate([loaded.train.images[:, 0], loaded.test.images[:, 0]]).reshape(-1, 64)
        theirs = np.rint(load_digits().data * 255 / 16 + 1e-9).astype(np.uint8)
        assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))

    def test_digits_are_not_flipped(self):
        assert not Digits(DigitsParams()).load("test").flip

    def test_digits_have_parity_and_magnitude_label_sets(self):
        test = Digits(DigitsParams()).load("test")
        for digit, odd, large in zip(
            test.labels, test.label_sets["parity"].labels, test.label_sets["magnitude"].labels, strict=True
        ):
            assert test.label_sets["parity"].classes[odd] == ("odd" if digit in {1, 3, 5, 7, 9} else "even")
            assert test.label_sets["magnitude"].classes[large] == ("large" if digit >= 5 else "small")

    def test_digits_enlarged_values_lie_between_neighbouring_pixels(self):
        from scipy.ndimage import maximum_filter, minimum_filter

        small = Digits(DigitsParams()).load("test").images[:, 0]
        large = Digits(DigitsParams(size=32)).load("test").images[:, 0]
        assert large.shape == (500, 32, 32)
        for limit, below in ((maximum_filter, 1), (minimum_filter, -1)):
            bound = limit(small, size=(1, 3, 3)).repeat(4, axis=1).repeat(4, axis=2)
            assert (below * (bound.astype(int) - large) >= 0).all()

    def test_digits_refuse_a_size_below_that_of_the_scans(self):
        with pytest.raises(UsageError, match="size"):
            DigitsParams.resolve("dataset 'digits'", options={"size": "7"})


class TestPhotos:
    def test_photos_splits_are_disjoint_and_balanced_over_the_fine_classes(self):
        photos = Photos(PhotosParams(label="fine"))
        train, test = photos.load("train"), photos.load("test")
        assert np.bincount(train.labels).tolist() == [40] * 41
        assert np.bincount(test.labels).tolist() == [12] * 41
        assert len(set(map(bytes, np.concatenate([train.images, test.images])))) == 1640 + 492

    def test_photos_fine_classes_are_nested_in_the_coarse_ones(self):
        train = Photos(PhotosParams()).load("train")
        assert train.classes == train.label_sets["coarse"].classes
        pairs = set(zip(train.label_sets["fine"].labels.tolist(), train.labels.tolist(), strict=True))
        assert len(pairs) == 41
        named = {train.label_sets["fine"].classes[fine]: train.classes[coarse] for fine, coarse in pairs}
        assert named["elephant"] == "land animals"
        assert named["schooner"] == "boats"
        assert named["watch"] == "other things"

    @needs_shared_data
    def test_photos_equal_the_files_that_they_were_drawn_from(self):
        params = ParquetParams(path=Path(SHARED) / "caltech101", size=32)
        for split in ("train", "test"):
            source = Parquet(params).load(split)
            photos = Photos(PhotosParams(label="fine")).load(split)
            assert photos.classes == source.classes
            assert (photos.images == source.images[np.argsort(source.labels, kind="stable")]).all()


NAMES = ["ant", "bee", "cat"]
FINE, COARSE = ["bear", "cup", "maple"], ["animal", "thing"]


def write_cifar_parquet(root):
    write_parquet(root / "cifar10" / "train-0.parquet", [plain(1)] * 2, {"label": NAMES}, label=[1, 0])
    names = {"fine_label": FINE, "coarse_label": COARSE}
    for split in ("train", "test"):
        write_parquet(
            root / "cifar100" / f"{split}-0.parquet",
            [plain(2)] * 3,
            names,
            fine_label=[2, 1, 0],
            coarse_label=[1, 1, 0],
        )


class TestCifar:
    def test_cifar_root_option_overrides_the_environment(self, tmp_path, monkeypatch):
        write_cifar_parquet(tmp_path / "here")
        monkeypatch.setenv("UCBENCH_DATA", str(tmp_path / "here"))
        assert Cifar10(Cifar10Params(download=False)).load("train").labels.tolist() == [1, 0]
        monkeypatch.setenv("UCBENCH_DATA", str(tmp_path / "gone"))
        assert len(Cifar10(Cifar10Params(root=tmp_path / "here", download=False)).load("train")) == 2

    @pytest.mark.parametrize(("label", "classes", "labels"), [("fine", FINE, [2, 1, 0]), ("coarse", COARSE, [1, 1, 0])])
    def test_cifar100_label_selects_fine_or_coarse_classes(self, tmp_path, label, classes, labels):
        write_cifar_parquet(tmp_path)
        test = Cifar100(Cifar100Params(root=tmp_path, label=label)).load("test")
        assert (test.classes, test.labels.tolist()) == (tuple(classes), labels)
        assert test.label_sets["fine"].labels.tolist() == [2, 1, 0]
        assert test.label_sets["coarse"].classes == tuple(COARSE)

    def test_cifar100_parquet_without_class_names_raises_data_error(self, tmp_path):
        write_parquet(tmp_path / "cifar100" / "train-0.parquet", [plain(2)], {"fine_label": FINE}, fine_label=[2])
        with pytest.raises(DataError, match="no column 'coarse_label' with class names"):
            Cifar100(Cifar100Params(root=tmp_path)).load("train")

    def test_cifar10_without_files_or_download_raises_data_error(self, tmp_path):
        with pytest.raises(DataError, match=r"cifar10: found neither .*cifar10/\*\.parquet.*UCBENCH_DATA"):
            Cifar10(Cifar10Params(root=tmp_path, download=False)).load("train")

    def test_cifar100_reads_files_of_torchvision(self, tmp_path, monkeypatch):
        from torchvision.datasets import CIFAR100

        folder = tmp_path / CIFAR100.base_folder
        folder.mkdir()
        data = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
        rows = {"data": data, "fine_labels": [2, 1, 0], "coarse_labels": [1, 1, 0]}
        meta = {"fine_label_names": FINE, "coarse_label_names": COARSE}
        sums = {}
        for file, content in (("train", rows), ("test", rows), ("meta", meta)):
            (folder / file).write_bytes(pickle.dumps(content))
            sums[file] = hashlib.md5((folder / file).read_bytes()).hexdigest()
        monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
        monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
        monkeypatch.setitem(CIFAR100.meta, "md5", sums["meta"])

        train = Cifar100(Cifar100Params(root=tmp_path, download=False, label="coarse")).load("train")
        assert np.array_equal(train.images, data.reshape(3, 3, 32, 32))
        assert (train.classes, train.labels.tolist()) == (tuple(COARSE), [1, 1, 0])
        assert train.label_sets["fine"].classes == tuple(FINE)


@needs_shared_data
class TestSharedData:
    def test_cifar10_has_published_counts_and_channel_means(self):
        test = Cifar10(Cifar10Params(root=SHARED, size=32)).load("test")
        assert np.bincount(test.labels).tolist() == [400] * 10
        assert test.classes[0] == "airplane"
        # Channel means of the published training set.
        means = test.images.mean(axis=(0, 2, 3)) / 255
        assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)

    def test_cifar100_equals_the_parquet_dataset_of_the_same_files(self):
        ours = Cifar100(Cifar100Params(root=SHARED, size=32)).load("test")
        general = Parquet(ParquetParams(path=Path(SHARED) / "cifar100", size=32)).load("test")
        assert np.array_equal(ours.images, general.images)
        assert ours.classes == general.classes
        assert ours.label_sets["coarse"].classes == general.label_sets["coarse_label"].classes
        assert np.bincount(ours.label_sets["coarse"].labels).tolist() == [100] * 20

    def test_caltech101_images_of_several_sizes_are_framed(self):
        params = ParquetParams(path=Path(SHARED) / "caltech101", train_per_class=20)
        loaded = load_dataset(Parquet(params), params)
        assert loaded.train.size == loaded.test.size == (96, 96)
        assert (len(loaded.train), len(loaded.test), len(loaded.train.classes)) == (820, 492, 41)
        assert loaded.note.startswith("images of several sizes: short side 96 px")


def test_digits_equal_scikit_learn_with_and_without_its_file(monkeypatch):
    from sklearn.datasets import load_digits

    from ucbench_datasets import digits

    read = digits._scans()
    monkeypatch.setattr(digits.Path, "is_file", lambda path: False)
    for scans in (read, digits._scans()):
        assert np.array_equal(scans[0], load_digits().images)
        assert np.array_equal(scans[1], load_digits().target)
