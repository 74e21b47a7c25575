"""Small data sets in tar archives, tables and folders of the library ``datasets``; writing and loading."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from image_files import plain

from ucbench.data.loading import LoadedDataset, load_dataset
from ucbench_datasets.huggingface import HuggingFace
from ucbench_datasets.params import CsvParams, HuggingFaceParams, WebDatasetParams
from ucbench_datasets.table import Csv
from ucbench_datasets.webdataset import WebDataset

Member = tuple[str, bytes]


def write_tar(file: Path, members: Sequence[Member | tarfile.TarInfo]) -> Path:
    """Write files by name and content, and whatever else as it is described."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file


def samples(values: Sequence[int], labels: Sequence[object], extension: str = "cls") -> list[Member]:
    """A grey image of each value, with its label in another member."""
    return [
        member
        for number, (value, label) in enumerate(zip(values, labels, strict=True))
        for member in ((f"{number:04}.png", plain(value)), (f"{number:04}.{extension}", str(label).encode()))
    ]


def write_shards(folder: Path) -> Path:
    """Training images 1 and 2, test images 11 and 12."""
    write_tar(folder / "train-000000.tar", samples([1, 2], (0, 1)))
    write_tar(folder / "test-000000.tar", samples([11, 12], (0, 1)))
    return folder


def write_table(file: Path, *lines: str) -> Path:
    """A table, and beside it the images 1 to 4 and 11 to 14, whose files are called so."""
    for value in (1, 2, 3, 4, 11, 12, 13, 14):
        (file.parent / f"{value}.png").write_bytes(plain(value))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_saved(folder: Path, values: Sequence[int], labels: Sequence[int], names: Sequence[str]) -> Path:
    """What ``Dataset.save_to_disk`` writes, as far as it is read."""
    folder.mkdir(parents=True)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(names)}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({
        "image": pa.array([{"bytes": plain(value), "path": None} for value in values], kind),
        "label": pa.array(labels, pa.int64()),
    }).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})  # fmt: skip
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def write_saved_splits(folder: Path, splits: Sequence[str] = ("train", "test")) -> Path:
    """Splits of two images each, 1 and 2, 11 and 12, ..., of the classes ant and bee."""
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for number, split in enumerate(splits):
        write_saved(folder / split, [10 * number + 1, 10 * number + 2], [0, 1], ["ant", "bee"])
    return folder


def archives(path: Path, **options: object) -> LoadedDataset:
    """Both splits of ``webdataset:PATH``."""
    params = WebDatasetParams(path=path, **options)
    return load_dataset(WebDataset(params), params)


def listed(path: Path, **options: object) -> LoadedDataset:
    """Both splits of ``csv:PATH``."""
    params = CsvParams(path=path, **options)
    return load_dataset(Csv(params), params)


def hub(path: Path | str, **options: object) -> LoadedDataset:
    """Both splits of ``hf:PATH``."""
    params = HuggingFaceParams(path=str(path), **options)
    return load_dataset(HuggingFace(params), params)
