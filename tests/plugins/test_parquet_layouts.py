"""Parquet files whose layout or columns contradict themselves: refused, with advice that works, or read rightly."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import levels, plain, tables, two_tables, write_parquet

from ucbench.errors import DataError


class TestParquetFiles:
    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("data_train.parquet", "data_test.parquet"),
            ("Train.PARQUET", "pets-TEST.parquet"),
            ("data/train-0.parquet", "data/test-0.parquet"),
            ("a/b/train-0.parquet", "a/b/validation-0.parquet"),
            ("Train/0.parquet", "pets-test/0.parquet"),
        ],
    )
    def test_split_words_are_found_anywhere_in_a_name(self, tmp_path, train, test):
        two_tables(tmp_path, train, test)
        loaded = tables(tmp_path)
        assert (levels(loaded.train), levels(loaded.test)) == ([1, 2], [11, 12])
        assert (loaded.inventory.train.served, loaded.inventory.test.served) == ((train,), (test,))

    def test_unnamed_files_beside_named_ones_are_refused_and_either_advice_loads(self, tmp_path):
        two_tables(tmp_path, train="data.parquet")
        with pytest.raises(DataError, match=r"data\.parquet in .* name no split.*Rename them to train-\*"):
            tables(tmp_path)
        (tmp_path / "data.parquet").rename(tmp_path / "train-0.parquet")
        assert levels(tables(tmp_path).train) == [1, 2]

    def test_missing_shards_are_named_and_fetching_them_loads(self, tmp_path):
        for number in (0, 2):
            two_tables(tmp_path, train=f"train-{number:05}-of-00003-ab12.parquet")
        with pytest.raises(DataError, match=r"1 of 3 shards are missing \(00001-of-00003\)"):
            tables(tmp_path)
        two_tables(tmp_path, train="train-00001-of-00003-ab12.parquet")
        assert len(tables(tmp_path).train) == 6

    @pytest.mark.parametrize(
        "name", ["train-00000-of-00001-c0de.parquet", "train-00000-of-00002.parquet", "train.parquet"]
    )
    def test_shards_of_another_set_are_refused_and_removing_them_loads(self, tmp_path, name):
        two_tables(tmp_path, train="train-00000-of-00001.parquet")
        two_tables(tmp_path, train=name)
        with pytest.raises(DataError, match=r"no complete set of shards.*remove what is double"):
            tables(tmp_path)
        (tmp_path / name).unlink()
        assert len(tables(tmp_path).train) == 2

    def test_one_shard_named_as_path_loads(self, tmp_path):
        file = tmp_path / "train-00000-of-00002.parquet"
        write_parquet(file, [plain(value) for value in range(4)], label=[0, 0, 1, 1])
        assert len(tables(file, validation=0.5).train) == 2

    @pytest.mark.parametrize("second", ["train/0000.parquet", "data_train.parquet", "Train.parquet"])
    def test_two_layouts_of_one_split_are_refused_and_keeping_one_loads(self, tmp_path, second):
        two_tables(tmp_path)
        two_tables(tmp_path, train=second)
        with pytest.raises(DataError, match=r"the train split in 2 layouts.*Keep one"):
            tables(tmp_path)
        (tmp_path / second).unlink()
        assert len(tables(tmp_path).train) == 2

    def test_file_of_two_splits_is_refused_and_renaming_it_loads(self, tmp_path):
        two_tables(tmp_path, train="train_val.parquet")
        with pytest.raises(DataError, match=r"names several splits: train and validation. Rename"):
            tables(tmp_path)
        (tmp_path / "train_val.parquet").rename(tmp_path / "train.parquet")
        assert len(tables(tmp_path).train) == 2

    def test_passed_over_files_are_named_with_the_reason(self, tmp_path):
        two_tables(tmp_path)
        write_parquet(tmp_path / "other" / "train.parquet", [plain(9)], label=[0])
        write_parquet(tmp_path / "val.parquet", [plain(9)], label=[0])
        write_parquet(tmp_path / "._train.parquet", [plain(9)], label=[0])
        (tmp_path / "README.md").write_text("")
        assert tables(tmp_path).inventory.passed_over == {
            "hidden": ("._train.parquet",),
            "files in other folders": ("other/train.parquet",),
            "files that are not parquet": ("README.md",),
            "validation files beside test files": ("val.parquet",),
        }


TEXT = pa.array(["dog", "cat"])


class TestParquetColumns:
    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (TEXT, ("cat", "dog")),
            (TEXT.cast(pa.large_string()), ("cat", "dog")),
            (TEXT.dictionary_encode(), ("cat", "dog")),
            (pa.array([True, False]), ("false", "true")),
            (pa.array([1, 0], pa.uint8()), ("0", "1")),
            (pa.array([1, 0]).dictionary_encode(), ("0", "1")),
        ],
        ids=["text", "large text", "categories", "bool", "uint8", "integer categories"],
    )
    def test_labels_of_every_kind_become_classes_in_order(self, tmp_path, labels, classes):
        two_tables(tmp_path, label=labels)
        loaded = tables(tmp_path)
        assert loaded.train.classes == classes
        assert loaded.train.labels.tolist() == loaded.test.labels.tolist() == [1, 0]

    def test_column_called_label_is_preferred_to_an_integer_column(self, tmp_path):
        two_tables(tmp_path, label=TEXT, width=[30, 31])
        assert tables(tmp_path).train.classes == ("cat", "dog")

    def test_integer_column_is_not_taken_for_its_type_and_label_option_selects_it(self, tmp_path):
        two_tables(tmp_path, species=[0, 1])
        with pytest.raises(DataError, match=r"no column is called label.*choose the labels with label=COLUMN"):
            tables(tmp_path)
        assert tables(tmp_path, label="species").train.labels.tolist() == [0, 1]

    @pytest.mark.parametrize("labels", [pa.array([0.0, 1.0]), pa.array([[0], [1]])], ids=["float", "list"])
    def test_labels_of_no_kind_are_refused_and_label_option_or_conversion_loads(self, tmp_path, labels):
        two_tables(tmp_path, label=labels, kind=[0, 1])
        with pytest.raises(DataError, match=r"'label' holds .*Convert it, or choose another with label=COLUMN"):
            tables(tmp_path)
        assert len(tables(tmp_path, label="kind").train.classes) == 2
        two_tables(tmp_path, label=[0, 1])
        assert len(tables(tmp_path).train.classes) == 2

    def test_text_label_unknown_in_training_names_file_and_row(self, tmp_path):
        two_tables(tmp_path, label=TEXT)
        write_parquet(tmp_path / "test.parquet", [plain(11)] * 2, label=pa.array(["cat", "emu"]))
        with pytest.raises(DataError, match=r"test\.parquet row 1: label 'emu'"):
            tables(tmp_path)

    def test_text_labels_equal_but_for_encoding_are_one_class(self, tmp_path):
        two_tables(tmp_path, label=pa.array(["cafe\u0301", "dog"]))
        write_parquet(tmp_path / "test.parquet", [plain(11)] * 2, label=pa.array(["caf\xe9", "dog"]))
        assert tables(tmp_path).test.labels.tolist() == [0, 1]

    def test_two_image_columns_are_refused_and_image_option_selects_one(self, tmp_path):
        masks = pa.array([plain(21), plain(22)], pa.binary())
        two_tables(tmp_path, label=[0, 1], mask=masks)
        with pytest.raises(DataError, match=r"found 2. Choose one with image=COLUMN"):
            tables(tmp_path)
        assert levels(tables(tmp_path, image="mask").train) == [21, 22]
        with pytest.raises(DataError, match=r"encoded images in column 'label', found 0"):
            tables(tmp_path, image="label")

    def test_image_known_by_its_path_only_is_refused(self, tmp_path):
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(
            pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}] * 2, kind), "label": [0, 1]}),
            tmp_path / "train.parquet",
        )
        with pytest.raises(DataError, match=r"row 0: there is only the path 'a\.png' of an image\. Store its bytes"):
            tables(tmp_path)

    @pytest.mark.parametrize(
        "info", [None, [], {"features": None}, {"features": {"label": None, "tags": [{"dtype": "string"}]}}]
    )
    def test_metadata_of_any_structure_is_read_or_passed_over(self, tmp_path, info):
        two_tables(tmp_path)
        for file in tmp_path.iterdir():
            table = pq.read_table(file)
            pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": info})}), file)
        assert tables(tmp_path).train.classes == ("0", "1")

    def test_labels_json_may_begin_with_a_byte_order_mark(self, tmp_path):
        two_tables(tmp_path)
        (tmp_path / "labels.json").write_text('{"label": ["cat", "dog"]}', encoding="utf-8-sig")
        assert tables(tmp_path).train.classes == ("cat", "dog")

    @pytest.mark.parametrize("label", [None, "label"])
    @pytest.mark.parametrize("named", [None, {"label": ["cat", "dog"]}], ids=["unnamed", "named"])
    def test_two_columns_of_one_name_are_refused(self, tmp_path, label, named):
        write_parquet(tmp_path / "train.parquet", [plain(1), plain(2)], named, label=[0, 1])
        table = pq.read_table(tmp_path / "train.parquet")
        pq.write_table(table.append_column("label", table.column("label")), tmp_path / "train.parquet")
        with pytest.raises(DataError, match=r"(several columns could|there are 2 columns 'label')"):
            tables(tmp_path, label=label, validation=0.5)
