"""Data sets of torchvision: its own splits, classes and checksums, on small files in its layouts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import levels
from scipy.io import savemat
from torchvision import datasets

from ucbench.data.loading import LoadedDataset, load_dataset
from ucbench.errors import DataError
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import DatasetSpec
from ucbench_datasets.torchvision_sets import EuroSat, Imagenette

NAMES = ("svhn", "stl10", "pets", "flowers102", "eurosat", "gtsrb", "imagenette")


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def image(file: Path, value: int, side: int = 8) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (value,) * 3).save(file)


def svhn(root: Path, patch: pytest.MonkeyPatch) -> None:
    splits = dict(datasets.SVHN.split_list)
    for split, start in (("train", 1), ("test", 11)):
        pixels = np.stack([np.full((32, 32, 3), start + n, np.uint8) for n in range(3)], axis=3)
        savemat(root / f"{split}.mat", {"X": pixels, "y": np.array([[10], [1], [10]], np.uint8)})
        splits[split] = ["", f"{split}.mat", md5(root / f"{split}.mat")]
    patch.setattr(datasets.SVHN, "split_list", splits)


def stl10(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    (folder / "class_names.txt").write_text("bird\ncar\n")
    for split, start in (("train", 1), ("test", 11)):
        pixels = np.stack([np.full((3, 96, 96), start + n, np.uint8) for n in range(2)])
        (folder / f"{split}_X.bin").write_bytes(pixels.tobytes())
        (folder / f"{split}_y.bin").write_bytes(bytes([1, 2]))
        files = [[name, md5(folder / name)] for name in (f"{split}_X.bin", f"{split}_y.bin")]
        patch.setattr(datasets.STL10, f"{split}_list", files)


def pets(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for split, start in (("trainval", 1), ("test", 11)):
        names = [("Abyssinian", 1, 1), ("great_dane", 2, 2), ("Ragdoll", 3, 1)]
        lines = []
        for number, (breed, label, species) in enumerate(names):
            image(folder / "images" / f"{breed}_{start + number}.jpg", start + number)
            lines.append(f"{breed}_{start + number} {label} {species} 1")
        (folder / "annotations" / f"{split}.txt").write_text("\n".join(lines))


def flowers102(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "flowers-102"
    for number in range(1, 7):
        image(folder / "jpg" / f"image_{number:05}.jpg", number)
    savemat(folder / "imagelabels.mat", {"labels": np.array([1, 2, 1, 2, 1, 2])})
    savemat(folder / "setid.mat", {"trnid": np.array([1, 2]), "valid": np.array([3, 4]), "tstid": np.array([5, 6])})
    files = {"image": ("", ""), **{
        name: (file, md5(folder / file)) for name, file in (("label", "imagelabels.mat"), ("setid", "setid.mat"))
    }}  # fmt: skip
    patch.setattr(datasets.Flowers102, "_file_dict", files)


def eurosat(root: Path, patch: pytest.MonkeyPatch) -> None:
    for name, start in (("Forest", 1), ("River", 11)):
        for number in range(10):
            image(root / "eurosat" / "2750" / name / f"{name}_{number}.jpg", start + number)


def gtsrb(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "gtsrb"
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for number in range(2):
        image(folder / "GTSRB" / "Training" / f"{number:05}" / "0.ppm", 1 + number)
        image(folder / "GTSRB" / "Final_Test" / "Images" / f"{number}.ppm", 11 + number)
        lines.append(f"{number}.ppm;8;8;0;0;8;8;{number}")
    (folder / "GT-final_test.csv").write_text("\n".join(lines))


def imagenette(root: Path, patch: pytest.MonkeyPatch) -> None:
    for split, start in (("train", 1), ("val", 11)):
        for number, name in enumerate(("n01440764", "n02102040")):
            (root / "imagenette2-160" / split / name).mkdir(parents=True)
            image(root / "imagenette2-160" / split / name / "0.jpeg", start + number)
            (root / "imagenette2-160" / split / name / "0.jpeg").rename(
                root / "imagenette2-160" / split / name / "0.JPEG"
            )


WRITE: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "svhn": svhn, "stl10": stl10, "pets": pets, "flowers102": flowers102, "eurosat": eurosat, "gtsrb": gtsrb,
    "imagenette": imagenette,
}  # fmt: skip


def load(reference: str) -> LoadedDataset:
    component = installed().resolve(DatasetSpec, reference)
    return load_dataset(component.build(), component.params)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("UCBENCH_DATA", str(tmp_path))
    for small in (EuroSat, Imagenette):
        monkeypatch.setattr(small, "counts", {})
    return tmp_path


@pytest.mark.parametrize("kind", [EuroSat, Imagenette])
def test_folder_that_lacks_images_is_refused(root, monkeypatch, kind):
    WRITE[kind.name](root, monkeypatch)
    load(f"{kind.name}:download=false")
    monkeypatch.setattr(kind, "counts", {"": 27_000, "train": 9_469, "val": 3_925})
    with pytest.raises(DataError, match=r"of its (27,000|9,469) images, perhaps since a download was interrupted"):
        load(f"{kind.name}:download=false")


@pytest.mark.parametrize(
    ("name", "train", "test", "labels", "classes"),
    [
        ("svhn", [1, 2, 3], [11, 12, 13], [0, 1, 0], ("0", "1")),
        ("stl10", [1, 2], [11, 12], [0, 1], ("bird", "car")),
        ("pets", [1, 2, 3], [11, 12, 13], [0, 1, 2], ("Abyssinian", "Great Dane", "Ragdoll")),
        ("flowers102", [1, 2], [5, 6], [0, 1], ("pink primrose", "hard-leaved pocket orchid")),
        ("gtsrb", [1, 2], [11, 12], [0, 1], ("0", "1")),
        ("imagenette", [1, 2], [11, 12], [0, 1], ("tench", "English springer")),
    ],
)
def test_splits_and_classes_are_torchvisions(root, monkeypatch, name, train, test, labels, classes):
    WRITE[name](root, monkeypatch)
    loaded = load(f"{name}:download=false")
    assert (levels(loaded.train), levels(loaded.test)) == (train, test)
    assert (loaded.train.labels.tolist(), loaded.train.classes) == (labels, classes)
    assert loaded.train.flip == (name not in ("svhn", "gtsrb"))


def test_eurosat_has_a_fixed_fifth_of_each_class_for_testing(root, monkeypatch):
    eurosat(root, monkeypatch)
    loaded = load("eurosat:download=false")
    assert np.bincount(loaded.test.labels).tolist() == [2, 2]
    assert sorted(levels(loaded.train) + levels(loaded.test)) == sorted([*range(1, 11), *range(11, 21)])
    other = load("eurosat:download=false,subset_seed=3,train_per_class=8")
    assert levels(other.test) == levels(loaded.test)


def test_pets_learn_species_on_request(root, monkeypatch):
    pets(root, monkeypatch)
    train = load("pets:download=false,label=species").train
    assert (train.classes, train.labels.tolist()) == (("Cat", "Dog"), [0, 1, 0])
    assert train.label_sets["breed"].labels.tolist() == [0, 1, 2]


def test_splits_that_are_not_read_are_in_the_inventory(root, monkeypatch):
    flowers102(root, monkeypatch)
    assert load("flowers102:download=false").inventory.passed_over == {"splits that are not read": ("val",)}


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_one_line_that_says_where_they_belong(root, name):
    with pytest.raises(
        DataError, match=rf"{name}: did not find torchvision's files in .*root=.*UCBENCH_DATA"
    ) as caught:
        load(f"{name}:download=false")
    assert "\n" not in str(caught.value)


def test_file_with_another_checksum_is_refused(root, monkeypatch):
    svhn(root, monkeypatch)
    (root / "train.mat").write_bytes((root / "train.mat").read_bytes() + b"\0")
    with pytest.raises(DataError, match="not found or corrupted"):
        load("svhn:download=false")


def test_root_option_is_used_and_is_no_part_of_the_identity(root, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    eurosat(elsewhere, monkeypatch)
    assert len(load(f"eurosat:download=false,root='{elsewhere}'").train) == 16
    resolve = installed().resolve
    identities = [resolve(DatasetSpec, text).identity() for text in ("eurosat", f"eurosat:root='{elsewhere}'")]
    assert identities[0] == identities[1]
