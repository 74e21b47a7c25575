"""Releases in the layouts of platforms: each reads back as the same images and labels, with lists as documented."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_components as tiny
import yaml
from hypothesis import given
from hypothesis import strategies as st
from image_files import folders, tables
from listed_files import listed
from PIL import Image

from ucbench.crafting.craft import craft_release
from ucbench.crafting.release import materialise
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.export import hub, release
from ucbench.export.croissant import About
from ucbench.export.layouts import LAYOUTS, PublishedSplit, Target, named
from ucbench.export.release import export_release
from ucbench.matrix.cell import Cell, Craft, CraftLabels
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins.grammar import ComponentRef
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import DatasetSpec, PoisonerSpec, SurrogateSpec
from ucbench.running.sets import crafted, published_of, release_of

ADDRESS = {"vertex": "gs://bucket/set/", "azure": "azureml://store/paths/set"}
FILES = list(LAYOUTS)


def installs(name: str):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def cell(**changes) -> Cell:
    axes = {"datasets": ["spots"], "victims": ["tiny"], "labelings": ["original"], "seeds": [(0, 0)], **changes}
    return expand(Request(poisoners=["badge"], **axes), tiny.registry())[-1]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return tiny.session(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def exported(session, tmp_path_factory):
    """The folder of a release in a layout, with its test images."""
    made: dict[str | None, Path] = {}

    def export(platform: str | None) -> Path:
        if platform not in made:
            made[platform] = tmp_path_factory.mktemp("out") / "release"
            target = Target(platform, ADDRESS.get(platform or ""), with_test=platform is not None)
            export_release(cell(), session, made[platform], About("https://example.org/terms"), target=target)
        return made[platform]

    return export


@pytest.fixture(scope="module")
def published(session) -> ImageSet:
    return published_of(cell(), release_of(cell(), session), session)


def by_class(images: ImageSet) -> dict[str, list[bytes]]:
    """The images of each class, in order."""
    rows = zip(images.images, images.known_labels, strict=True)
    found: dict[str, list[bytes]] = {name: [] for name in images.classes}
    for pixels, label in rows:
        found[images.classes[label]].append(pixels.tobytes())
    return found


@pytest.mark.parametrize("platform", FILES)
def test_exported_folder_reads_as_the_data_set_it_was(exported, published, session, platform):
    loaded = folders(exported(platform))
    assert loaded.train.classes == published.classes
    assert by_class(loaded.train) == by_class(published)
    assert by_class(loaded.test) == by_class(session.data(cell()).test)


def test_plain_export_reads_as_the_training_set_it_was(exported, published):
    loaded = folders(exported(None), validation=0.5)
    train, test = by_class(loaded.train), by_class(loaded.test)
    assert {name: sorted(train[name] + test[name]) for name in tiny.CLASSES} == {
        name: sorted(images) for name, images in by_class(published).items()
    }


def test_hub_export_reads_as_the_data_set_it_was(exported, published, session):
    loaded = tables(exported("hf"))
    assert np.array_equal(loaded.train.images, published.images)
    assert np.array_equal(loaded.train.known_labels, published.known_labels)
    assert loaded.train.classes == published.classes
    assert np.array_equal(loaded.test.images, session.data(cell()).test.images)


@pytest.mark.parametrize("platform", [None, *FILES])
def test_table_of_an_export_reads_as_the_data_set_it_was(exported, published, platform):
    loaded = listed(exported(platform) / "labels.csv", **({} if platform else {"validation": 0.5}))
    assert loaded.train.classes == published.classes
    if platform:
        assert np.array_equal(loaded.train.images, published.images)
        assert np.array_equal(loaded.train.known_labels, published.known_labels)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("imagefolder:'/home/me/my pets':size=32", 'imagefolder:"my pets":size=32'),
        ("imagefolder:./pets:size=32", "imagefolder:pets:size=32"),
        ("imagefolder:private/me/pets", "imagefolder:pets"),
        ("imagefolder:~/pets/", "imagefolder:pets"),
        ("csv:/home/me/t.csv:root=/home/me/photos,size=32", "csv:t.csv:root=photos,size=32"),
        ("cifar10:root=/home/me/data", "cifar10:root=data"),
        ("hf:owner/name:size=32", "hf:owner/name:size=32"),
    ],
)
def test_descriptions_hold_no_folder_of_this_machine(written, expected):
    params = installed().resolve(DatasetSpec, written).params
    assert release._without_folders(written, type(params)) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("shuffled:'release:/home/me/noise.npy:norm=l2'", 'shuffled:"release:noise.npy:norm=l2"'),
        ("shuffled:'release:\"/home/a b/my noise.npy\"'", 'shuffled:"release:""my noise.npy"""'),
        ("predicted:model='mine:weights=/home/me/w.pt'", 'predicted:model="mine:weights=w.pt"'),
        ("no reference, but /home/me/w.pt", "no reference, but w.pt"),
        ("shuffled:'uc:crop=scales'", "shuffled:'uc:crop=scales'"),
    ],
)
def test_descriptions_hold_no_folder_within_nested_references(written, expected):
    assert release._without_folders(written) == expected
    assert release._texts_without_folders({"params": {"made": [written], "n": 3}})["params"]["made"] == [expected]


def test_description_holds_no_folder_of_craft_labels(session, published):
    plain = cell()
    model = replace(tiny.registry().resolve(SurrogateSpec, "eyes"), ref=ComponentRef("mine", argument="/home/me/w.pt"))
    labels = CraftLabels("predicted", model=model)
    key, made = crafted(plain, session)
    labelled = replace(plain, craft=replace(plain.craft, labels=labels))
    described = release.describe(labelled, key, made, published, session)
    assert described["request"]["craft_labels"] == 'predicted:model="mine:w.pt"'


def imported(path: Path, train: ImageSet, session) -> np.ndarray:
    """The images that ``release:PATH`` publishes in place of ``train``."""
    component = installed().resolve(PoisonerSpec, f"release:'{path}':norm=unbounded")
    craft = Craft(component, None, CraftLabels("original"), Budget("unbounded", None), 0)
    made = craft_release(craft, train, train, session)
    return materialise(train.images, made.changes, made.index)


@pytest.mark.parametrize("platform", [None, "hf", *FILES])
def test_exported_folder_is_taken_in_as_the_release_it_was(exported, published, session, platform):
    source = session.data(cell()).train
    assert np.array_equal(imported(exported(platform), source, session), published.images)


@pytest.mark.parametrize("platform", [None, "hf"])
def test_release_of_a_whole_split_serves_a_subset_by_index(exported, published, session, platform):
    rows = np.array([3, 4, 5, 11, 30])
    part = session.data(cell()).train.subset(rows)
    assert np.array_equal(imported(exported(platform), part, session), published.images[rows])
    nested = part.subset(np.array([1, 4]))
    assert np.array_equal(imported(exported(platform), nested, session), published.images[[4, 30]])


def test_release_of_another_count_names_that_of_the_whole_split(session, tmp_path):
    np.save(tmp_path / "changes.npy", np.zeros((7, 3, 8, 8), np.int8))
    part = session.data(cell()).train.subset(np.arange(5))
    with pytest.raises(UsageError, match=r"\[5, \.\.\.\], one for each .* or \[36, \.\.\.\], of the whole split"):
        imported(tmp_path / "changes.npy", part, session)


def test_hub_release_without_a_shard_or_an_index_is_refused(exported, session, tmp_path):
    source, (shard,) = session.data(cell()).train, (exported("hf") / "data").glob("train-*")
    table = pq.read_table(shard)
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match="lacks shards"):
        imported(tmp_path / "set", source, session)
    (folder / "train-00000-of-00002.parquet").rename(folder / "train-00000-of-00001.parquet")
    pq.write_table(table.slice(1), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="do not count the images from 0"):
        imported(tmp_path / "set", source, session)


def lines(file: Path, delimiter: str) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def table(out: Path, split: str) -> list[dict[str, str]]:
    with (out / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["split"] == split]


@pytest.mark.parametrize("platform", ["imagefolder", "yolo"])
def test_folders_of_classes_bear_their_names_in_both_splits(exported, platform):
    for split in ("train", "test"):
        assert sorted(path.name for path in (exported(platform) / split).iterdir()) == sorted(tiny.CLASSES)


def test_imagefolder_export_reads_in_torchvision(exported, published):
    from torchvision.datasets import ImageFolder

    read = ImageFolder(exported("imagefolder") / "train")
    found: dict[str, list[bytes]] = {name: [] for name in published.classes}
    for image, label in read:
        found[read.classes[label]].append(np.asarray(image).transpose(2, 0, 1).tobytes())
    assert found == by_class(published)


def test_paddleclas_lists_name_paths_and_labels(exported):
    out = exported("paddleclas")
    assert lines(out / "label_list.txt", " ") == [["0", "red"], ["1", "green"], ["2", "blue"]]
    for name, split in (("train_list.txt", "train"), ("val_list.txt", "test")):
        assert lines(out / name, " ") == [[row["file"], row["label"]] for row in table(out, split)]


def test_sagemaker_lists_have_unique_numbers_and_paths_within_their_channel(exported):
    out = exported("sagemaker")
    rows = {name: lines(out / f"{name}_lst" / f"{name}.lst", "\t") for name in ("train", "validation")}
    assert [number for part in rows.values() for number, _, _ in part] == [str(n) for n in range(72)]
    for name, channel in (("train", "train"), ("validation", "test")):
        assert [label for _, label, _ in rows[name]] == [row["label"] for row in table(out, channel)]
        assert all((out / channel / file).is_file() for _, _, file in rows[name])


def test_vertex_list_has_uses_addresses_and_classes(exported):
    out = exported("vertex")
    expected = [
        [use, f"gs://bucket/set/{row['file']}", row["class"]]
        for use, split in (("training", "train"), ("test", "test"))
        for row in table(out, split)
    ]
    assert lines(out / "import.csv", ",") == expected


def test_azure_tables_point_to_lines_with_the_details_of_images(exported):
    out = exported("azure")
    for name, split in (("training", "train"), ("validation", "test")):
        folder = out / f"{name}-mltable-folder"
        described = yaml.safe_load((folder / "MLTable").read_text())
        text = (folder / described["paths"][0]["file"]).read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines()]
        assert [row["label"] for row in found] == [row["class"] for row in table(out, split)]
        assert found[0] == {
            "image_url": f"azureml://store/paths/set/{table(out, split)[0]['file']}",
            "image_details": {"format": "png", "width": "8px", "height": "8px"},
            "label": table(out, split)[0]["class"],
        }


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target("vertx"), "no layout for 'vertx'. Did you mean 'vertex'"),
        (Target("vertex"), "--address gs://"),
        (Target("azure", "gs://bucket"), "--address azureml://"),
        (Target("yolo", "gs://bucket"), "relative paths"),
        (Target("hf", "gs://bucket"), "Leave it out"),
        (Target(with_test=True), "--with-test needs --for"),
        (Target(address="gs://bucket"), "--address needs --for"),
    ],
)
def test_targets_that_do_not_fit_are_refused_before_any_work(session, tmp_path, target, text):
    with pytest.raises(UsageError, match=text):
        export_release(cell(), session, tmp_path / "out", About(), target=target)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.text(max_size=50), min_size=1, max_size=8, unique=True))
def test_folders_of_any_classes_are_distinct_valid_names_and_no_splits(names):
    folder_names = named(names)
    assert len({name.lower() for name in folder_names}) == len(names)
    assert all(name and set(name) <= set("._-") | set(map(chr, range(48, 123))) for name in folder_names)
    assert not {"train", "test", "val", "validation", "", ".", ".."} & {name.lower() for name in folder_names}


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True), st.text(max_size=30))
def test_card_of_any_names_is_yaml_that_holds_them(names, address):
    images = ImageSet(np.zeros((3, 3, 4, 4), np.uint8), np.zeros(3, np.int64), tuple(names))
    split = PublishedSplit("train", images, np.ones(3, bool))
    request = {"poisoner": "uc:x=1", "dataset": "d", "mixture": 1.0, "norm": "linf", "epsilon": 8.0}
    measured = {"linf_max": 8.0, "psnr": 30.0, "ssim": 0.9}
    description = {"request": request, "measured": measured, "release": "ab", "source": "cd", "images": 3}
    text = hub.card(description, [split], None, [], About(address))
    front = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert list(front["dataset_info"]["features"][1]["dtype"]["class_label"]["names"].values()) == names
    assert front["license_link"] == address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", {"license": "cc-by-4.0"}),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/deed.en", {"license": "cc-by-nc-sa-3.0"}),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", {"license": "apache-2.0"}),
        (None, {"license": "unknown"}),
    ],
)
def test_card_names_licences_as_the_hub_does(address, expected):
    assert yaml.safe_load("\n".join(hub._license(address))) == expected


def command_of(card: str) -> str:
    return next(line for line in card.splitlines() if line.startswith("ucbench export"))


def test_command_of_the_card_makes_the_same_splits_again(exported, session, tmp_path):
    export_release(cell(), session, tmp_path / "out", About(), target=Target("hf"))
    for out, stated in ((exported("hf"), True), (tmp_path / "out", False)):
        assert ("--with-test" in command_of((out / "README.md").read_text(encoding="utf-8"))) == stated


def test_card_states_budget_command_and_fingerprints(exported, session):
    text = (exported("hf") / "README.md").read_text(encoding="utf-8")
    stated = json.loads((exported("hf") / "release.json").read_text())
    assert stated["release"] in text
    assert stated["source"] == session.data(cell()).train.fingerprint
    assert stated["source"] in text
    command = command_of(text)
    assert {"--poisoner badge", "--dataset spots", "--epsilon 24", "--seed 0", "--for hf"} <= {
        f"{first} {second}" for first, second in itertools.pairwise(command.split())
    }
    assert "| budget | 24/255 (linf) |" in text


def test_shards_split_a_large_set_in_order():
    images = ImageSet(np.arange(5 * 48, dtype=np.uint8).reshape(5, 3, 4, 4), np.zeros(5, np.int64), ("a",))
    found = list(hub.shards(PublishedSplit("train", images, np.ones(5, bool)), shard_bytes=100))
    assert [(name, rows) for name, _, rows in found] == [
        (f"data/train-0000{number}-of-00003.parquet", rows) for number, rows in enumerate((2, 2, 1))
    ]


@installs("datasets")
def test_hub_export_opens_in_datasets_with_equal_images(exported, published, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    from datasets import load_dataset

    loaded = load_dataset(str(exported("hf")), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == {"train": 36, "test": 36}
    train = loaded["train"]
    assert train.features["label"].names == list(published.classes)
    assert train["label"] == published.known_labels.tolist()
    pixels = np.stack([np.asarray(row["image"]).transpose(2, 0, 1) for row in train])
    assert np.array_equal(pixels, published.images)
    assert all(train["protected"])
    assert train["index"] == list(range(36))


@installs("mlcroissant")
@pytest.mark.parametrize("platform", [None, "imagefolder"])
def test_croissant_passes_its_validator(exported, platform):
    from mlcroissant import Dataset

    described = Dataset(jsonld=exported(platform) / "croissant.json")  # raises what its command reports as errors
    rows = list(described.records("labels"))
    assert [row["labels/file"].decode() for row in rows] == [
        row["file"] for split in ("train", "test") for row in table(exported(platform), split)
    ]


def test_images_of_an_export_are_lossless_rgb(exported, published):
    first = table(exported("yolo"), "train")[0]
    with Image.open(exported("yolo") / first["file"]) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), published.images[int(first["index"])])
