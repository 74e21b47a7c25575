"""The data sets of ``ucbench_datasets``: digits, parquet files, folders of images, CIFAR."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import plain, write_images, write_parquet

import ucbench_datasets
from ucbench.data.loading import load_dataset
from ucbench.errors import DataError, UsageError
from ucbench_datasets.cifar import Cifar10, Cifar100
from ucbench_datasets.digits import Digits
from ucbench_datasets.imagefolder import ImageFolder
from ucbench_datasets.params import (
    Cifar10Params,
    Cifar100Params,
    DigitsParams,
    ImageFolderParams,
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


def levels(images):
    return images.images[:, 0, 0, 0].tolist()


class TestRecords:
    @pytest.mark.parametrize("record", list(ucbench_datasets.ucbench_datasets()), ids=lambda record: record.name)
    def test_spec_paths_name_existing_classes(self, record):
        for target in (record.load, record.params):
            module, _, name = target.partition(":")
            assert isinstance(getattr(importlib.import_module(module), name), type)

    def test_params_import_no_array_library(self):
        code = (
            "import sys, ucbench_datasets.params;"
            "print(*sorted({'numpy', 'torch', 'pyarrow', 'PIL', 'sklearn'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == []

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


def parquet(path, **options):
    return Parquet(ParquetParams(path=path, **options))


class TestParquet:
    @pytest.fixture
    def folder(self, tmp_path):
        write_parquet(
            tmp_path / "train-00000-of-00001.parquet",
            [plain(v) for v in range(6)],
            {"label": NAMES},
            label=[0, 1, 2] * 2,
        )
        write_parquet(
            tmp_path / "test-00000-of-00001.parquet",
            [plain(v) for v in (9, 8, 7)],
            {"label": NAMES},
            label=[2, 1, 0],
        )
        return tmp_path

    def test_parquet_loads_both_splits(self, folder):
        loaded = load_dataset(parquet(folder), ParquetParams(path=folder))
        assert loaded.train.classes == tuple(NAMES)
        assert levels(loaded.train) == list(range(6))
        assert loaded.train.labels.tolist() == [0, 1, 2] * 2
        assert (levels(loaded.test), loaded.test.labels.tolist()) == ([9, 8, 7], [2, 1, 0])
        assert loaded.train.flip
        assert loaded.note == "kept at 4x4, height x width"

    def test_parquet_flip_follows_its_option(self, folder):
        assert not parquet(folder, flip=False).load("test").flip

    def test_parquet_reads_shards_in_sorted_order(self, tmp_path):
        for shard in (2, 0, 1):
            write_parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", [plain(shard)], label=[shard])
        train = parquet(tmp_path).load("train")
        assert (levels(train), train.labels.tolist()) == ([0, 1, 2], [0, 1, 2])

    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("train-0.parquet", "validation-0.parquet"),
            ("train/0.parquet", "test/0.parquet"),
            ("train.parquet", "val.parquet"),
        ],
    )
    def test_parquet_reads_every_documented_layout(self, tmp_path, train, test):
        write_parquet(tmp_path / train, [plain(1)], label=[0])
        write_parquet(tmp_path / test, [plain(2)], label=[0])
        assert levels(parquet(tmp_path).load("train")) == [1]
        assert levels(parquet(tmp_path).load("test")) == [2]

    def test_parquet_prefers_test_files_to_validation_files(self, folder):
        write_parquet(folder / "validation-00000-of-00001.parquet", [plain(99)], label=[0])
        assert levels(parquet(folder).load("test")) == [9, 8, 7]

    def test_parquet_single_file_is_training_data(self, folder):
        dataset = parquet(folder / "train-00000-of-00001.parquet")
        assert len(dataset.load("train")) == 6
        with pytest.raises(DataError, match=r"no test files.*validation=0\.2"):
            dataset.load("test")

    def test_parquet_ignores_files_of_other_folders(self, folder):
        write_parquet(folder / "other" / "train-00000-of-00001.parquet", [plain(99)], label=[0])
        assert levels(parquet(folder).load("train")) == list(range(6))

    def test_parquet_reads_the_single_folder_that_holds_files(self, tmp_path):
        write_parquet(tmp_path / "plain_text" / "train-0.parquet", [plain(5)], label=[0])
        assert levels(parquet(tmp_path).load("train")) == [5]

    def test_parquet_error_lists_files_of_several_folders_and_naming_one_loads_it(self, tmp_path):
        for name in ("one", "two"):
            write_parquet(tmp_path / name / "train-0.parquet", [plain(0)], label=[0])
        with pytest.raises(DataError, match=r"no train files; there is one/train-0\.parquet, two.*such as .*one\.$"):
            parquet(tmp_path).load("train")
        assert len(parquet(tmp_path / "one").load("train")) == 1

    def test_parquet_folder_without_split_names_is_training_data(self, tmp_path):
        write_parquet(tmp_path / "trains.parquet", [plain(3)], label=[0])
        assert levels(parquet(tmp_path).load("train")) == [3]

    def test_parquet_without_files_raises_data_error(self, tmp_path):
        with pytest.raises(DataError, match="no train files; there is no parquet file"):
            parquet(tmp_path).load("train")
        with pytest.raises(DataError, match="gone does not exist"):
            parquet(tmp_path / "gone").load("train")

    def test_parquet_reads_a_binary_image_column(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(5), plain(6)], image_type="binary", label=[0, 1])
        assert levels(parquet(tmp_path).load("train")) == [5, 6]

    def test_parquet_test_images_take_the_size_of_the_training_split(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(1, 6, 9), plain(2, 12, 8)], label=[0, 1])
        write_parquet(tmp_path / "test.parquet", [plain(3, 5, 5), plain(4, 50, 60)], label=[0, 1])
        dataset = parquet(tmp_path)
        assert dataset.load("test").size == dataset.load("train").size == (6, 6)
        assert "6x6" in dataset.note

    def test_parquet_size_and_resize_set_the_image_size(self, folder):
        assert parquet(folder, size=8, resize=12).load("test").size == (8, 8)

    def test_parquet_label_selects_a_column_and_the_others_become_label_sets(self, tmp_path):
        names = {"fine_label": NAMES, "coarse_label": ["wings", "legs"]}
        write_parquet(
            tmp_path / "train.parquet",
            [plain(0)] * 3,
            names,
            fine_label=[0, 1, 2],
            coarse_label=[1, 0, 1],
            width=[4, 4, 4],
        )
        fine = parquet(tmp_path).load("train")
        assert fine.classes == tuple(NAMES)
        assert list(fine.label_sets) == ["coarse_label"]
        assert fine.label_sets["coarse_label"].labels.tolist() == [1, 0, 1]
        coarse = parquet(tmp_path, label="coarse_label").load("train")
        assert coarse.classes == ("wings", "legs")
        assert coarse.label_sets["fine_label"].classes == tuple(NAMES)

    @pytest.mark.parametrize(
        ("requested", "columns", "message"),
        [
            ("kind", {"label": [0]}, "there are 0 columns 'kind'.*image .*label"),
            (None, {}, "no column is called label"),
            (None, {"species": [0]}, "no column is called label.*species"),
            (None, {"class": [0], "target": [0]}, "several columns could be the labels.*class.*target"),
        ],
    )
    def test_parquet_without_a_label_column_lists_the_columns(self, tmp_path, requested, columns, message):
        write_parquet(tmp_path / "train.parquet", [plain(0)], **columns)
        with pytest.raises(DataError, match=message):
            parquet(tmp_path, label=requested).load("train")

    def test_parquet_reads_class_names_from_labels_json(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 2, label=[0, 2])
        (tmp_path / "labels.json").write_text(json.dumps({"label": NAMES, "other": [1, 2]}))
        assert parquet(tmp_path).load("train").classes == tuple(NAMES)

    @pytest.mark.parametrize("text", ["{", "[1]"])
    def test_parquet_malformed_labels_json_raises_data_error(self, tmp_path, text):
        write_parquet(tmp_path / "train.parquet", [plain(0)], label=[0])
        (tmp_path / "labels.json").write_text(text)
        with pytest.raises(DataError, match=r"labels\.json"):
            parquet(tmp_path).load("train")

    def test_parquet_numbers_unnamed_classes_up_to_the_largest_training_label(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 3, label=[0, 2, 1])
        write_parquet(tmp_path / "test.parquet", [plain(0)] * 2, label=[0, 1])
        dataset = parquet(tmp_path)
        assert dataset.load("train").classes == dataset.load("test").classes == ("0", "1", "2")

    def test_parquet_refuses_an_unnamed_test_label_beyond_training(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 2, label=[0, 1])
        write_parquet(tmp_path / "test.parquet", [plain(0)] * 2, label=[0, 7])
        with pytest.raises(DataError, match=r"test\.parquet row 1: label 7 .* 0 to 1\."):
            parquet(tmp_path).load("test")

    def test_parquet_refuses_identifiers_as_labels(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 2, id=[5, 2_000_000_000])
        with pytest.raises(DataError, match="label 2000000000 in column 'id' is out of range"):
            parquet(tmp_path, label="id").load("train")

    @pytest.mark.parametrize("wrong", [-1, 3])
    def test_parquet_label_out_of_range_names_file_row_and_column(self, tmp_path, wrong):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 4, {"label": NAMES}, label=[0, 1, 2, wrong])
        with pytest.raises(DataError, match=rf"train\.parquet row 3: label {wrong} in column 'label'.* 0 to 2\."):
            parquet(tmp_path).load("train")

    def test_parquet_missing_label_names_file_and_row(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 3, label=[0, None, 1])
        with pytest.raises(DataError, match=r"train\.parquet row 1: there is no label in column 'label'"):
            parquet(tmp_path).load("train")

    @pytest.mark.parametrize("image_type", ["struct", "binary"])
    def test_parquet_missing_image_names_file_and_row(self, tmp_path, image_type):
        images = [plain(0), plain(0), plain(0), None]
        write_parquet(tmp_path / "train.parquet", images, image_type=image_type, label=[0, 1, 2, 0])
        with pytest.raises(DataError, match=r"train\.parquet row 3: there is no image"):
            parquet(tmp_path).load("train")

    def test_parquet_damaged_image_names_file_and_row(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0), plain(0), plain(0)[:45]], label=[0, 1, 2])
        with pytest.raises(DataError, match=r"train\.parquet row 2: cannot be read as an image"):
            parquet(tmp_path).load("train")

    def test_parquet_damaged_file_is_named(self, folder):
        file = folder / "train-00000-of-00001.parquet"
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet: cannot be read as parquet"):
            parquet(folder).load("train")

    def test_parquet_without_an_image_column_raises_data_error(self, tmp_path):
        pq.write_table(pa.table({"label": [0, 1], "text": ["a", "b"]}), tmp_path / "train.parquet")
        with pytest.raises(DataError, match=r"one column of encoded images, found 0\. Its columns: label"):
            parquet(tmp_path).load("train")

    def test_parquet_shard_without_the_label_column_is_named(self, tmp_path):
        write_parquet(tmp_path / "train-0.parquet", [plain(0)], label=[0])
        write_parquet(tmp_path / "train-1.parquet", [plain(0)], kind=[0])
        with pytest.raises(DataError, match=r"train-1\.parquet: there is no column 'label'.*kind"):
            parquet(tmp_path).load("train")

    def test_parquet_shard_with_other_class_names_is_named(self, tmp_path):
        write_parquet(tmp_path / "train-0.parquet", [plain(0)], {"label": NAMES}, label=[0])
        write_parquet(tmp_path / "train-1.parquet", [plain(0)], {"label": NAMES[::-1]}, label=[0])
        with pytest.raises(DataError, match=r"train-1\.parquet has other class names"):
            parquet(tmp_path).load("train")

    def test_parquet_refuses_splits_with_other_class_names(self, folder):
        write_parquet(folder / "test-00000-of-00001.parquet", [plain(0)], {"label": NAMES[::-1]}, label=[0])
        with pytest.raises(DataError, match="class 0 is 'ant' in one and 'cat' in the other"):
            load_dataset(parquet(folder), ParquetParams(path=folder))


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
        (tmp_path / "a" / "notes.txt").write_text("not a picture")
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
        with pytest.raises(DataError, match="gone is not a folder"):
            imagefolder(tmp_path / "gone").load("train")
        with pytest.raises(DataError, match="holds no class folders"):
            imagefolder(tmp_path).load("train")


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
        general = parquet(Path(SHARED) / "cifar100", size=32).load("test")
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
