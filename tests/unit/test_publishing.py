"""Exported releases: the very pixels and labels that a victim is trained on, described for others to check them."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_components as tiny
from PIL import Image

from ucbench.data.imageset import ImageSet
from ucbench.errors import StoreError, UsageError
from ucbench.export.croissant import CONTEXT, About
from ucbench.export.layouts import PLAIN, Target
from ucbench.export.release import export_release
from ucbench.matrix.cell import Cell
from ucbench.matrix.from_record import cell_of
from ucbench.matrix.matrix import Request, expand
from ucbench.running.compute import compute
from ucbench.running.sets import release_of
from ucbench.running.tasks import task_of

NOTHING = About()


def cells(poisoner: str, **axes) -> list[Cell]:
    named = {"datasets": ["spots"], "victims": ["tiny"], "labelings": ["original"], "seeds": [(0, 0)]} | axes
    return expand(Request(poisoners=[poisoner], **named), tiny.registry())


def cell(poisoner: str, **axes) -> Cell:
    return cells(poisoner, **axes)[-1]


@pytest.fixture
def session(tmp_path):
    return tiny.session(tmp_path / "store")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "release"


def table(out: Path) -> list[dict[str, str]]:
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(out: Path, line: dict[str, str]) -> np.ndarray:
    with Image.open(out / line["file"]) as image:
        assert image.mode == "RGB"
        return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a class that nobody sees has no mean colour
@pytest.mark.parametrize("labeling", ["original", "shifted", "seen"])
@pytest.mark.parametrize("mixture", [1.0, 0.5])
def test_export_holds_the_exact_training_images_and_labels(session, out, monkeypatch, labeling, mixture):
    shown: list[tuple[np.ndarray, np.ndarray, tuple[str, ...]]] = []
    fit = tiny.exploiter.Nearest.fit

    def capture_features(self, train: ImageSet, trusted, run) -> None:
        shown.append((train.images.copy(), train.known_labels.copy(), train.classes))
        fit(self, train, trusted, run)

    monkeypatch.setattr(tiny.exploiter.Nearest, "fit", capture_features)
    requested = cell("badge", victims=["nearest"], trusted=[6], labelings=[labeling], mixtures=[mixture])
    assert compute(task_of(requested, session), session)["status"] == "ok"
    ((images, labels, classes),) = shown
    done = export_release(requested, session, out, NOTHING)
    lines = table(out)
    assert [int(line["index"]) for line in lines] == list(range(len(images))) == list(range(done.images))
    assert np.array_equal(np.stack([pixels(out, line) for line in lines]), images)
    assert [int(line["label"]) for line in lines] == labels.tolist()
    assert [line["class"] for line in lines] == [classes[label] for label in labels]
    changed = (images != session.data(requested).train.images).any((1, 2, 3))
    assert [line["protected"] == "yes" for line in lines] == changed.tolist()
    assert done.protected == changed.sum()
    assert changed.any()
    assert changed.all() == (mixture == 1)


@pytest.mark.parametrize("name", [".", "below/.."])
def test_export_into_the_working_folder_is_refused_before_the_craft(session, tmp_path, monkeypatch, tiny_log, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="the working folder, which cannot be replaced"):
        export_release(cell("badge"), session, Path(name), NOTHING)
    assert tiny.work_done()["craft badge"] == 0


def test_export_into_a_folder_that_cannot_be_made_is_refused_before_the_craft(session, tmp_path, tiny_log):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Results cannot be written to"):
        export_release(cell("badge"), session, tmp_path / "file" / "out", NOTHING)
    assert tiny.work_done()["craft badge"] == 0


def test_export_sorts_folders_by_label_and_files_by_index():
    images = np.zeros((12, 3, 2, 2), np.uint8)
    names = ("zebra", "a/b c", "", "..", *(f"class {k}" for k in range(4, 12)))
    named = ImageSet(images, np.arange(12, dtype=np.int64), names)
    files = PLAIN.files("train", named)
    assert files == sorted(files)
    assert files[:4] == ["images/00-zebra/00.png", "images/01-a_b_c/01.png", "images/02/02.png", "images/03/03.png"]
    assert PLAIN.files("train", named.subset(np.arange(1))) == ["images/00-zebra/0.png"]


def test_export_hashes_every_file(session, out):
    export_release(cell("stripes"), session, out, NOTHING)
    lines = [line.split("  ") for line in (out / "SHA256SUMS").read_text().splitlines()]
    stated = {name: digest for digest, name in lines}
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert set(stated) == set(files) - {"SHA256SUMS"}
    assert all(hashlib.sha256(files[name].read_bytes()).hexdigest() == digest for name, digest in stated.items())
    assert {line["file"]: line["sha256"] for line in table(out)} == {
        name: digest for name, digest in stated.items() if name.startswith("images/")
    }


def test_export_is_byte_identical_when_repeated(session, tmp_path):
    def exported(name):
        out = tmp_path / name
        export_release(cell("badge"), session, out, About(license="https://example.org/terms"))
        return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    once, again = exported("one"), exported("other")
    assert Path("release.json") in once
    assert again == once


def test_export_reuses_the_stored_release(session, out, tmp_path, tiny_log):
    release_of(cell("badge"), session)
    export_release(cell("badge"), session, out, NOTHING)
    assert tiny.work_done()["craft badge"] == 1


def test_release_json_describes_the_craft_but_not_the_exploiter(session, out):
    requested = cell("badge", defenses=["dim"], epsilons=[8.0])
    done = export_release(requested, session, out, NOTHING)
    release_json = json.loads((out / "release.json").read_text())
    assert release_json["release"] == done.release == task_of(requested, session).release_key
    assert release_json["request"]["epsilon"] == 8.0
    assert release_json["measured"]["linf_max"] == 8.0
    assert not {"defense", "victim", "train_seed"} & release_json["request"].keys()
    assert release_json["components"]["poisoner"]["distribution"] == "ucbench-tiny"


def test_release_json_names_the_components_behind_others(session, out):
    axes = {"craft_labels": ["clusters:k=3,model=eyes"], "labelings": ["seen"], "defenses": ["dim"]}
    export_release(cell("shuffled:badge", **axes), session, out, NOTHING)
    components = json.loads((out / "release.json").read_text())["components"]
    assert {place: part["name"] for place, part in components.items()} == {
        "dataset": "spots",
        "poisoner": "shuffled",
        "poisoner-base": "badge",
        "surrogate-craft-labels": "eyes",
        "labeling": "seen",
        "surrogate-labeling": "eyes",
    }


@pytest.fixture
def described(session, out) -> dict:
    about = About("https://example.org/terms", "Some Group", "https://example.org/set", "2026-01-31")
    export_release(cell("badge", epsilons=[8.0]), session, out, about)
    return json.loads((out / "croissant.json").read_text())


def test_croissant_has_the_required_fields(described):
    assert described["@type"] == "sc:Dataset"
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert described["@context"] == CONTEXT
    for name in ("name", "description", "license", "url", "creator", "datePublished", "version"):
        assert described[name], name
    assert set(described["name"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_croissant_lists_existing_files_with_hashes(described, out):
    objects = [part for part in described["distribution"] if part["@type"] == "cr:FileObject"]
    for part in objects:
        assert hashlib.sha256((out / part["contentUrl"]).read_bytes()).hexdigest() == part["sha256"]
    (images,) = (part for part in described["distribution"] if part["@type"] == "cr:FileSet")
    assert len(list(out.glob(images["includes"]))) == len(table(out))


def test_croissant_fields_have_existing_sources(described, out):
    resources = {part["@id"] for part in described["distribution"]}
    sets = {part["@id"]: part for part in described["recordSet"]}
    fields = {field["@id"]: field for part in sets.values() for field in part["field"]}
    assert len(fields) == sum(len(part["field"]) for part in sets.values())
    sourced = [field["source"] for field in fields.values() if "source" in field]
    assert {(source.get("fileObject") or source.get("fileSet"))["@id"] for source in sourced} <= resources
    columns = [source["extract"]["column"] for source in sourced if "column" in source["extract"]]
    assert columns == list(table(out)[0])
    assert sets["classes"]["data"] == [
        {"classes/label": label, "classes/name": name} for label, name in enumerate(tiny.CLASSES)
    ]


def test_croissant_pattern_extracts_labels_from_paths(described, out):
    (field,) = (f for part in described["recordSet"] for f in part["field"] if f["@id"] == "images/label")
    pattern = field["source"]["transform"]["regex"]
    for line in table(out):
        for path in (line["file"], str(out / line["file"])):
            assert int(re.search(pattern, path)[1]) == int(line["label"])


def test_croissant_cites_the_poisoner_and_the_data(described):
    assert described["citeAs"].startswith("@misc{doe2020badges,\n")


def test_croissant_omits_fields_the_publisher_did_not_give(session, out):
    export_release(cell("stripes"), session, out, About(creator="Me"))
    described = json.loads((out / "croissant.json").read_text())
    assert described["creator"]["name"] == "Me"
    assert not {"license", "url", "datePublished"} & described.keys()
    assert About(creator="Me").missing == ("license", "url", "date")


@pytest.mark.parametrize(
    "poisoner", ["stripes@wide:share=0.5", "badge", "leaner", "blots", "positive", "shuffled:badge"]
)
@pytest.mark.parametrize("mixture", [1.0, 0.5])
def test_record_resolves_to_its_cell(session, poisoner, mixture):
    named = {"surrogates": ["others"]} if poisoner == "leaner" else {"epsilons": [8.0]}
    requested = cell(poisoner, seeds=[(3, 1)], mixtures=[mixture], defenses=["dim+fog"], **named)
    task = task_of(requested, session)
    record = {"cell": task.key, "request": requested.describe()}
    assert task_of(cell_of(record, tiny.registry()), session).key == task.key


def test_record_of_a_reference_resolves_to_its_cell(session):
    for requested in cells("badge", seeds=[(3, 1)]):
        record = {"cell": "", "request": requested.describe()}
        assert task_of(cell_of(record, tiny.registry()), session) == task_of(requested, session)


def test_record_without_a_cell_raises():
    request = cell("badge").describe() | {"epsilon": 9.0, "norm": "l2"}
    with pytest.raises(UsageError, match="No request yields the cell"):
        cell_of({"cell": "x", "request": request}, tiny.registry())


def test_export_raises_when_the_record_names_another_release(session, out):
    requested = cell("badge")
    record = compute(task_of(requested, session), session)
    other = copy.deepcopy(record)
    other["budget"]["psnr"] += 0.01
    with pytest.raises(UsageError, match=r"is not that of record .*: its psnr is"):
        export_release(requested, session, out, NOTHING, other)
    with pytest.raises(UsageError, match=r"has the key .* here"):
        export_release(requested, session, out, NOTHING, {**record, "cell": "0" * 32})
    assert not out.exists()
    assert export_release(requested, session, out, NOTHING, record).release == record["release"]


def test_export_raises_for_clean_images(session, out):
    with pytest.raises(UsageError, match="no release to export"):
        export_release(cells("stripes")[0], session, out, NOTHING)


def test_export_to_a_link_fills_its_folder_whose_name_may_be_long(session, out):
    long = out.with_name("x" * 255)
    long.mkdir()
    out.symlink_to(long)
    assert export_release(cell("stripes"), session, out, NOTHING).images == len(table(out))
    assert out.is_symlink()


@pytest.mark.parametrize("platform", [None, "hf", "paddleclas"])
def test_export_escapes_names_that_are_not_text(session, out, monkeypatch, platform):
    data = session.data(cell("stripes"))
    names = ("caf\udce9", *data.train.classes[1:])
    train, test = (part.with_labels(part.known_labels, names) for part in (data.train, data.test))
    monkeypatch.setattr(type(session), "data", lambda self, cell: replace(data, train=train, test=test))
    about = About(creator="caf\udce9", license="caf\udce9")
    export_release(cell("stripes"), session, out, about, target=Target(platform))
    description = json.loads((out / "release.json").read_text(encoding="utf-8"))
    assert description["classes"][0] == r"caf\udce9"


def test_export_folder_is_atomic_and_never_overwritten(session, out, monkeypatch):
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(UsageError, match="exists already"):
        export_release(cell("stripes"), session, out, NOTHING)
    (out / "mine").unlink()

    def full(*arguments) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ucbench.export.release.croissant", full)
        with pytest.raises(StoreError, match="No space left"):
            export_release(cell("stripes"), session, out, NOTHING)
    assert list(out.parent.glob("*release*")) == [out]
    assert list(out.iterdir()) == []
    assert export_release(cell("stripes"), session, out, NOTHING).images == len(table(out))
