"""Folders and parquet files whose layout contradicts itself: refused, with advice that works, or read rightly."""

from __future__ import annotations

import json
import shutil
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import plain, write_images, write_parquet

from ucbench.data.loading import load_dataset
from ucbench.errors import DataError
from ucbench_datasets.imagefolder import ImageFolder
from ucbench_datasets.params import ImageFolderParams, ParquetParams
from ucbench_datasets.parquet import Parquet


def folders(path, **options):
    params = ImageFolderParams(path=path, **options)
    return load_dataset(ImageFolder(params), params)


def tables(path, **options):
    params = ParquetParams(path=path, **options)
    return load_dataset(Parquet(params), params)


def levels(images):
    return images.images[:, 0, 0, 0].tolist()


@pytest.fixture
def split(tmp_path):
    """``train/`` and ``test/`` with the classes cat (1, 2; 11) and dog (3, 4; 12)."""
    write_images(tmp_path / "train", cat=[1, 2], dog=[3, 4])
    write_images(tmp_path / "test", cat=[11], dog=[12])
    return tmp_path


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
        with pytest.raises(DataError, match=r"has a test split\. Leave out holdout=0\.2"):
            folders(split, holdout=0.2)
        assert len(folders(split).test) == 2

    def test_holdout_of_a_training_split_is_refused_and_validation_loads(self, split):
        shutil.rmtree(split / "test")
        with pytest.raises(DataError, match=r"Ask for validation=0\.2"):
            folders(split, holdout=0.2)
        assert len(folders(split, validation=0.2).test) == 2

    def test_missing_test_split_is_refused_and_validation_loads(self, split):
        shutil.rmtree(split / "test")
        with pytest.raises(DataError, match=r"ask for validation=0\.2"):
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
        with pytest.raises(DataError, match=r"two folders called 'café'. Merge them"):
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

    def test_damaged_images_of_both_splits_are_named_at_once_and_removing_them_loads(self, split):
        damaged = [split / "train" / "cat" / "x.png", split / "test" / "dog" / "y.png"]
        damaged[0].write_bytes(b"no image")
        damaged[1].write_bytes(plain(5)[:45])
        with pytest.raises(DataError, match=r"^2 images cannot be read.*\n.*cat/x\.png: .*\n.*dog/y\.png: "):
            folders(split)
        for file in damaged:
            file.unlink()
        assert len(folders(split).train) == 4


def two_tables(folder, train="train.parquet", test="test.parquet", **columns):
    columns = columns or {"label": [0, 1]}
    write_parquet(folder / train, [plain(1), plain(2)], **columns)
    write_parquet(folder / test, [plain(11), plain(12)], **columns)


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
            Parquet(ParquetParams(path=tmp_path)).load("train")

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
