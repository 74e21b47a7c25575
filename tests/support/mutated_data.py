"""Small data sets of folders and parquet files, and structural changes to them such as archives, NAS systems and
people make.

A data set has eighteen images, each of one grey value that no other has: 100 and more in the test split.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("café", "dog", "emu")
FIRST_TEST_VALUE = 100
_SIDE = 8
_SPLIT_NAMES = (
    "Train", "TEST", "training", "testing", "val", "Valid", "validation", "pets-train", "data_test", "test_images",
    "train2017", "train_test", "trains", "bullet_train", "rest",
)  # fmt: skip
_SYSTEM_NAMES = ("@eaDir", ".thumbnails", "#recycle", "__MACOSX", ".ipynb_checkpoints")
_FILE_NAMES = (
    "Thumbs.db",
    "._001.png",
    ".DS_Store",
    "notes.txt",
    "image",
    "a.PNG",
    "b.jfif",
    "c.avif",
    "d.heic",
    "é.png",
)

Change = Callable[[random.Random, Path], None]


@cache
def image(value: int, kind: str = "PNG", side: int = _SIDE) -> bytes:
    """An encoded image, ``side`` pixels high and wide, of one grey value."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(file, kind)
    return file.getvalue()


def write_folders(root: Path) -> None:
    """``root/train/CLASS`` with four images each, ``root/test/CLASS`` with two."""
    for split, count, value in (("train", 4, 1), ("test", 2, FIRST_TEST_VALUE)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                (root / split / name / f"{number:03}.png").write_bytes(image(value))
                value += 1


def write_parquet(root: Path) -> None:
    """Two shards of six training images and one of six test images."""
    root.mkdir()
    for name, value in (("train-00000-of-00002", 1), ("train-00001-of-00002", 7), ("test-00000-of-00001", 100)):
        rows = [{"bytes": image(value + row), "path": f"{row}.png"} for row in range(6)]
        features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
        table = pa.table({"image": pa.array(rows), "label": pa.array([0, 1, 2] * 2)})
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(metadata), root / f"{name}.parquet")


def mutate(rng: random.Random, root: Path, changes: tuple[Change, ...]) -> list[str]:
    """Apply one to three changes that are possible; returns their names."""
    done = []
    for change in rng.choices(changes, k=rng.choice((1, 1, 2, 3))):
        try:
            change(rng, root)
        except (IndexError, OSError, pa.ArrowException, KeyError, ValueError):
            continue  # an earlier change took what this one needs
        done.append(change.__name__.strip("_"))
    return done


def _all(root: Path, folders: bool) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_dir() == folders and not path.is_symlink())


def _file(rng: random.Random, root: Path) -> Path:
    return rng.choice(_all(root, folders=False))


def _folder(rng: random.Random, root: Path) -> Path:
    return rng.choice([root, *_all(root, folders=True)])


def _rename(path: Path, name: str) -> None:
    if not (path.parent / name).exists():
        path.rename(path.parent / name)


def rename_split_folder(rng: random.Random, root: Path) -> None:
    _rename(rng.choice([root / "train", root / "test"]), rng.choice(_SPLIT_NAMES))


def rename_both_split_folders(rng: random.Random, root: Path) -> None:
    first, second = rng.choice([("Train", "Test"), ("pets-train", "pets-test"), ("data_train", "data_val")])
    _rename(root / "train", first)
    _rename(root / "test", second)


def rename_class_folder(rng: random.Random, root: Path) -> None:
    folder = _folder(rng, root)
    names = [*_SPLIT_NAMES, *_SYSTEM_NAMES, folder.name.upper(), unicodedata.normalize("NFD", folder.name)]
    if folder != root:
        _rename(folder, rng.choice(names))


def remove(rng: random.Random, root: Path) -> None:
    folder = _folder(rng, root)
    if folder == root:
        _file(rng, root).unlink()
    else:
        shutil.rmtree(folder)


def copy_folder(rng: random.Random, root: Path) -> None:
    source = _folder(rng, root)
    target = _folder(rng, root)
    if source != root and not target.is_relative_to(source):
        shutil.copytree(source, target / rng.choice([source.name, *_SPLIT_NAMES]), symlinks=True)


def move_file(rng: random.Random, root: Path) -> None:
    file = _file(rng, root)
    if "test" not in file.relative_to(root).as_posix().lower():  # else a test image may rightly become another's
        _rename(file, f"../{file.name}")


def wrap(rng: random.Random, root: Path) -> None:
    inner = root.with_name("inner")
    root.rename(inner)
    root.mkdir()
    inner.rename(root / rng.choice(["data", "dataset", "plain_text", "Train", "test_data"]))


def splits_within_classes(rng: random.Random, root: Path) -> None:
    for split in ("train", "test"):
        for folder in sorted((root / split).iterdir()):
            (root / folder.name).mkdir(exist_ok=True)
            folder.rename(root / folder.name / split)
        (root / split).rmdir()


def add_system_folder(rng: random.Random, root: Path) -> None:
    folder = _folder(rng, root) / rng.choice(_SYSTEM_NAMES)
    folder.mkdir()
    (folder / "thumb.png").write_bytes(image(250, side=2))


def add_file(rng: random.Random, root: Path) -> None:
    (_folder(rng, root) / rng.choice(_FILE_NAMES)).write_bytes(
        rng.choice([b"", b"text", image(200), image(201, "JPEG")])
    )


def add_undecodable_name(rng: random.Random, root: Path) -> None:
    (_folder(rng, root) / rng.choice(["\udcff.png", "line\nbreak.png", "\udcff"])).write_bytes(image(210))


def add_link(rng: random.Random, root: Path) -> None:
    target = rng.choice(["nowhere.png", ".", "..", "../..", "link.png", str(_folder(rng, root)), str(_file(rng, root))])
    (_folder(rng, root) / rng.choice(["link", "link.png", "train", "link.parquet"])).symlink_to(target)


def damage(rng: random.Random, root: Path) -> None:
    file = _file(rng, root)
    content = bytearray(file.read_bytes())
    match rng.randrange(4):
        case 0:
            content = content[: rng.randrange(len(content))]
        case 1:
            content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        case 2:
            content = bytearray(rng.randbytes(50))
        case 3:
            content = bytearray(image(220, side=rng.choice([1, 3, 300])))
    file.write_bytes(content)


def folder_for_file(rng: random.Random, root: Path) -> None:
    file = _file(rng, root)
    file.unlink()
    file.mkdir()


def file_for_folder(rng: random.Random, root: Path) -> None:
    folder = _folder(rng, root)
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def rename_parquet(rng: random.Random, root: Path) -> None:
    numbers = f"-{rng.randrange(3):05}-of-{rng.randrange(1, 4):05}"
    stem = rng.choice(["train", "test", "val", "Train", "data_train", "data_test", "part", "train_test", "trains"])
    _rename(_file(rng, root), f"{stem}{rng.choice(['', numbers])}{rng.choice(['.parquet', '.PARQUET', '.parq'])}")


def copy_parquet(rng: random.Random, root: Path) -> None:
    file = _file(rng, root)
    split = "test" if "test" in file.name else "train"
    name = rng.choice([f"{split}/0000.parquet", f"{split} (1).parquet", f".{file.name}", f"other/{file.name}"])
    (root / name).parent.mkdir(exist_ok=True)
    shutil.copy(file, root / name)


def parquet_into_folders(rng: random.Random, root: Path) -> None:
    for file in sorted(root.glob("*.parquet")):
        folder = root / file.name.split("-")[0]
        folder.mkdir(exist_ok=True)
        file.rename(folder / rng.choice([file.name, f"{file.name[-13:-8]}.parquet"]))


def _labels(rng: random.Random, count: int) -> Iterator[pa.Array]:
    numbers = [row % 3 for row in range(count)]
    yield pa.array([CLASSES[number] for number in numbers])
    yield pa.array([unicodedata.normalize("NFD", CLASSES[number]) for number in numbers])
    yield pa.array([number > 0 for number in numbers])
    yield pa.array([CLASSES[number] for number in numbers]).dictionary_encode()
    yield pa.array(numbers, pa.int32()).dictionary_encode()
    yield pa.array([float(number) for number in numbers])
    yield pa.array([[number] for number in numbers])
    yield pa.array([None, *numbers[1:]], pa.int64())
    yield pa.array([None, *(str(number) for number in numbers[1:])], pa.string())
    yield pa.array([2**64 - 1, *numbers[1:]], pa.uint64())
    yield pa.array([rng.choice([-1, 3, 10**6]), *numbers[1:]], pa.int64())
    yield pa.nulls(count)


def change_labels(rng: random.Random, root: Path) -> None:
    choice = rng.randrange(12)
    for file in _some_tables(rng, root):
        table = pq.read_table(file)
        labels = list(_labels(rng, len(table)))[choice]
        place = table.schema.get_field_index("label")
        pq.write_table(table.set_column(place, "label", labels), file)


def change_columns(rng: random.Random, root: Path) -> None:
    choice = rng.randrange(7)
    for file in _some_tables(rng, root):
        table = pq.read_table(file)
        rows = len(table)
        match choice:
            case 0:
                table = table.append_column("width", pa.array([30] * rows))
            case 1:
                name = rng.choice(["class", "species", "width", "image2"])
                table = table.rename_columns(["image", name, *table.column_names[2:]])
            case 2:
                table = table.append_column("mask", table.column("image"))
            case 3:
                table = table.append_column("label", table.column("label"))
            case 4:
                paths = [{"bytes": None, "path": "0.png"}] * rows
                table = table.set_column(
                    0, "image", pa.array(paths, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
                )
            case 5:
                table = table.set_column(0, "image", pa.array([image(230)] * (rows - 1) + [None], pa.binary()))
            case 6:
                table = table.slice(0, 0)
        pq.write_table(table, file)


def change_metadata(rng: random.Random, root: Path) -> None:
    feature = rng.choice([None, [], [{"dtype": "string"}], {"names": None}, {"names": []}, {"names": ["a"]}, "x", 3])
    info = rng.choice([{"features": {"label": feature}}, {"features": None}, {"features": []}, None, [], "x"])
    text = rng.choice([json.dumps({"info": info}), json.dumps(info), "{", "\xff"])
    for file in _some_tables(rng, root):
        pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": text}), file)


def add_labels_json(rng: random.Random, root: Path) -> None:
    for file in _some_tables(rng, root):
        pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)
    content = rng.choice(
        ['{"label": ["a", "b", "c"]}', "\ufeff" + '{"label": ["a", "b", "c"]}', '{"label": 3}', "[", ""]
    )
    (root / "labels.json").write_text(content, encoding="utf-8")


def _some_tables(rng: random.Random, root: Path) -> list[Path]:
    files = [file for file in _all(root, folders=False) if file.suffix.lower() == ".parquet"]
    return rng.choice([files, files, [rng.choice(files)]])


_ANY = (remove, copy_folder, wrap, add_system_folder, add_file, add_undecodable_name, add_link, damage, folder_for_file)
FOLDER_CHANGES = (
    *_ANY, rename_split_folder, rename_both_split_folders, rename_class_folder, move_file, splits_within_classes,
    file_for_folder,
)  # fmt: skip
PARQUET_CHANGES = (
    *_ANY, rename_parquet, rename_parquet, copy_parquet, copy_parquet, parquet_into_folders, change_labels,
    change_labels, change_columns, change_columns, change_metadata, add_labels_json,
)  # fmt: skip
