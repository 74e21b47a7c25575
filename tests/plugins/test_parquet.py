"""The data set ``parquet``: which files, columns and classes it reads, and what it refuses."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import levels, plain, write_parquet

from ucbench.data.loading import load_dataset
from ucbench.errors import DataError, UnmetRequestError
from ucbench_datasets.params import ParquetParams
from ucbench_datasets.parquet import Parquet

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
        with pytest.raises(UnmetRequestError, match=r"no test files.*validation=0\.2"):
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
        with pytest.raises(UnmetRequestError, match="gone does not exist"):
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

    @pytest.mark.parametrize(
        ("train", "test", "message"),
        [
            (pa.array(["cat", "dog"]), [0, 1], "holds int64, but string in .*train.parquet"),
            (pa.array(["cat", "dog"]).dictionary_encode(), [0, 1], "holds int64, but string in"),
            (pa.array([False, True]), [0, 1], "holds int64, but bool in"),
            ([0, 1], pa.array(["0", "1"]), "holds string, but int64 in"),
        ],
        ids=["text-integers", "categories-integers", "booleans-integers", "integers-text"],
    )
    def test_parquet_refuses_test_labels_of_another_kind_than_the_training_labels(self, tmp_path, train, test, message):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 2, label=train)
        write_parquet(tmp_path / "test.parquet", [plain(0)] * 2, label=test)
        assert len(parquet(tmp_path).load("train")) == 2
        with pytest.raises(DataError, match=rf"test\.parquet: column 'label' {message}"):
            parquet(tmp_path).load("test")

    def test_parquet_reads_text_beside_named_integers(self, tmp_path):
        write_parquet(tmp_path / "train.parquet", [plain(0)] * 3, label=pa.array(["cat", "ant", "bee"]))
        write_parquet(tmp_path / "test.parquet", [plain(0)] * 2, {"label": NAMES}, label=[2, 0])
        loaded = load_dataset(parquet(tmp_path), ParquetParams(path=tmp_path))
        assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([2, 0, 1], [2, 0])

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
