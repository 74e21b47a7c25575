"""Folders that the library ``datasets`` saved, its cache of the hub, and both where they are damaged or hostile."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import levels, plain, two_tables
from listed_files import hub, write_saved, write_saved_splits

from ucbench.errors import DataError, UcbenchError, UnmetRequestError, UsageError
from ucbench_datasets.huggingface import HuggingFace, on_hub, saved
from ucbench_datasets.params import HuggingFaceParams

needs_datasets = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="the library datasets is not installed"
)


def test_saved_splits_read_as_they_were_saved(tmp_path):
    loaded = hub(write_saved_splits(tmp_path / "set"))
    assert (levels(loaded.train), levels(loaded.test)) == ([1, 2], [11, 12])
    assert (loaded.train.classes, loaded.train.labels.tolist()) == (("ant", "bee"), [0, 1])
    assert loaded.inventory.train.served == ("train",)


def test_saved_split_alone_is_the_training_data(tmp_path):
    folder = write_saved(tmp_path / "set", [1, 2, 3, 4], [0, 0, 1, 1], ["ant", "bee"])
    assert len(hub(folder, validation=0.5).train) == 2
    with pytest.raises(UnmetRequestError, match=r"has no test split but train\. Ask for validation=0\.2"):
        hub(folder)


def test_splits_that_serve_as_neither_are_passed_over(tmp_path):
    folder = write_saved_splits(tmp_path / "set", ["train", "test", "validation", "extra"])
    split = HuggingFace(HuggingFaceParams(path=str(folder))).find("train")
    assert split.sources.passed_over == {"splits that are not read": ("validation", "extra")}
    assert levels(hub(write_saved_splits(tmp_path / "other", ["train", "validation"])).test) == [11, 12]


def test_two_splits_of_one_kind_are_refused(tmp_path):
    with pytest.raises(DataError, match="has two train splits, train and train_extra"):
        hub(write_saved_splits(tmp_path / "set", ["train", "train_extra", "test"]))


def test_folder_of_parquet_files_reads_as_the_parquet_data_set(tmp_path):
    two_tables(tmp_path)
    assert levels(hub(tmp_path).train) == [1, 2]


@pytest.mark.parametrize("name", ["../other/data.arrow", "/etc/data.arrow", "link.arrow"])
def test_file_outside_the_folder_is_refused(tmp_path, name):
    folder = write_saved(tmp_path / "set", [1, 2], [0, 1], ["a", "b"])
    write_saved(tmp_path / "other", [1, 2], [0, 1], ["a", "b"])
    (folder / "link.arrow").symlink_to(tmp_path / "other" / "data-00000-of-00001.arrow")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match="which is outside it"):
        hub(folder, validation=0.5)


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("state.json", "{", "cannot be read"),
        ("state.json", "[]", "no JSON object"),
        ("state.json", "{}", "lists no Arrow files"),
        ("state.json", '{"_data_files": [{"filename": 3}]}', "lists no Arrow files"),
        ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', r"gone\.arrow is missing"),
        ("dataset_dict.json", '{"splits": []}', "lists no splits"),
        ("dataset_dict.json", '{"splits": [".."]}', "which is outside it"),
        ("data-00000-of-00001.arrow", "text", "cannot be read as arrow"),
    ],
)
def test_damaged_description_is_refused_by_name(tmp_path, file, content, text):
    folder = write_saved(tmp_path / "set", [1, 2], [0, 1], ["a", "b"])
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=text):
        hub(folder, validation=0.5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["_data_files", "filename", "splits"]), inner)
), max_leaves=6))  # fmt: skip
def test_any_description_is_read_or_refused(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("set")
    (folder / "state.json").write_text(json.dumps(value))
    with pytest.raises(UcbenchError):
        saved(folder)


def test_hub_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r'pip install "ucbench\[datasets\]"'):
        hub("owner/name")


@needs_datasets
@pytest.mark.filterwarnings("ignore")
class TestWithTheLibrary:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch, tmp_path):
        import datasets

        monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", tmp_path)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def test_folder_that_it_saved_reads_with_equal_images_and_labels(self, tmp_path):
        import datasets

        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
        )  # fmt: skip
        rows = {"image": [{"bytes": plain(value), "path": None} for value in (1, 2, 3, 4)], "label": [0, 1, 1, 0]}
        whole = datasets.Dataset.from_dict(rows, features=features)
        splits = datasets.DatasetDict({"train": whole.select([2, 0, 1]), "test": whole.select([3])})
        splits.save_to_disk(tmp_path / "set")
        loaded = hub(tmp_path / "set")
        assert (levels(loaded.train), loaded.train.labels.tolist()) == ([3, 1, 2], [1, 0, 1])
        assert (levels(loaded.test), loaded.train.classes) == ([4], ("ant", "bee"))

    @pytest.mark.parametrize("kind", ["parquet", "folders"])
    def test_its_cache_is_read_as_the_hub_would_serve_it(self, tmp_path, kind):
        source = tmp_path / "source"
        if kind == "parquet":
            two_tables(source)
        else:
            for split, values in (("train", (1, 2)), ("test", (11, 12))):
                for name, value in zip(("0", "1"), values, strict=True):
                    (source / split / name).mkdir(parents=True)
                    (source / split / name / f"{value}.png").write_bytes(plain(value))
        params = HuggingFaceParams(path=str(source))
        files, home = on_hub(params)
        assert set(files) == {"train", "test"}
        reader = HuggingFace(HuggingFaceParams(path="owner/name"))
        reader._located = (files, home)
        assert [int(image.pixels()[0, 0, 0]) for image in reader.find("train").images] == [1, 2]
        assert reader.find("test").classes == ("0", "1")

    def test_missing_data_set_is_one_line(self):
        with pytest.raises(DataError, match="hf: owner/gone is no folder, and cannot be fetched") as caught:
            hub("owner/gone")
        assert "\n" not in str(caught.value)


def test_path_of_an_image_outside_the_cache_is_refused(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([{"bytes": None, "path": "/etc/hostname"}] * 2, kind), "label": [0, 1]})
    file = tmp_path / "train.arrow"
    with pa.OSFile(str(file), "wb") as opened, pa.ipc.new_stream(opened, table.schema) as stream:
        stream.write_table(table)
    reader = HuggingFace(HuggingFaceParams(path="owner/name"))
    for home, text in ((tmp_path, "leads out of"), (None, "only the path '/etc/hostname'")):
        reader._located = ({"train": [file]}, home)
        with pytest.raises(DataError, match=text):
            reader.find("train")


def test_home_is_expanded_in_paths(tmp_path, monkeypatch):
    write_saved_splits(tmp_path / "set")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert levels(hub(Path("~/set")).train) == [1, 2]
