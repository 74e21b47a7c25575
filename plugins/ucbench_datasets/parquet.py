"""Images in parquet files, as the Hugging Face hub lays them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ucbench import DataError, FramedDataset, LabelSet, Picture, Split, SplitName
from ucbench_datasets.params import ParquetParams
from ucbench_datasets.parquet_layout import class_names, image_column, label_column, split_files

#: Largest label of a column without class names: what lies above is an identifier, not a class.
_LARGEST_UNNAMED = 65_535

Classes = tuple[str, ...]


class Table(NamedTuple):
    """The rows of one split: N encoded images, and label columns of N rows by name."""

    pictures: list[Picture]
    columns: dict[str, LabelSet]


class Parquet(FramedDataset):
    """``PATH/train-*.parquet`` and ``PATH/test-*.parquet``; see
    :func:`ucbench_datasets.parquet_layout.split_files`.

    Integer columns that have class names and were not chosen by ``label`` become further label sets. If the
    chosen column has none, its classes are called by their numbers, from 0 to the largest of the training
    split.
    """

    name = "parquet"
    params: ParquetParams

    def __init__(self, params: ParquetParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()

    def find(self, split: SplitName) -> Split:
        files = split_files(self._path, split)
        label = label_column(files[0], self.params.label)
        classes = class_names(files[0])
        if label not in classes:
            classes[label] = _numbered_classes(split_files(self._path, "train"), label)
        pictures, columns = read_table(files, classes)
        chosen = columns.pop(label)
        return Split(pictures, chosen.labels, chosen.classes, columns)


def read_table(files: Sequence[Path], classes: Mapping[str, Classes]) -> Table:
    """Read the images of all files, and the integer columns that ``classes`` names with their class names.

    Raises:
        DataError: for an unreadable file, a missing column, files that disagree about class names, and null
            or out-of-range values, naming file and row.
    """
    pictures: list[Picture] = []
    labels: dict[str, list[NDArray[np.int64]]] = {column: [] for column in classes}
    for file in files:
        if class_names(file) != class_names(files[0]):
            raise DataError(f"{file} has other class names than {files[0]}; files of one split need the same.")
        stored, *stored_labels = _read(file, [image_column(file), *classes])
        pictures += _pictures(stored, file)
        for (column, names), values in zip(classes.items(), stored_labels, strict=True):
            labels[column].append(_labels(values, len(names), file, column))
    return Table(pictures, {name: LabelSet(np.concatenate(labels[name]), classes[name]) for name in classes})


def _numbered_classes(files: Sequence[Path], column: str) -> Classes:
    largest = max(
        _labels(_read(file, [column])[0], _LARGEST_UNNAMED + 1, file, column).max(initial=0) for file in files
    )
    return tuple(str(label) for label in range(int(largest) + 1))


def _read(file: Path, columns: list[str]) -> list[pa.ChunkedArray]:
    try:
        with pq.ParquetFile(file) as opened:
            missing = [column for column in columns if column not in opened.schema_arrow.names]
            if missing:
                there = ", ".join(opened.schema_arrow.names)
                raise DataError(f"{file}: there is no column {missing[0]!r}. Its columns: {there}.")
            table = opened.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as parquet: {error}") from error
    return [table.column(column) for column in columns]


def _pictures(column: pa.ChunkedArray, file: Path) -> list[Picture]:
    encoded = pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column
    _refuse_nulls(encoded, "image", file)
    # Views of Arrow's buffers: the encoded files are not copied.
    return [Picture(memoryview(value.as_buffer()), f"{file} row {row}") for row, value in enumerate(encoded)]


def _labels(column: pa.ChunkedArray, classes: int, file: Path, name: str) -> NDArray[np.int64]:
    _refuse_nulls(column, f"label in column {name!r}", file)
    labels: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{file} row {wrong[0]}: label {labels[wrong[0]]} in column {name!r} is out of range;"
            f" labels run from 0 to {classes - 1}."
        )
    return labels


def _refuse_nulls(column: pa.ChunkedArray, what: str, file: Path) -> None:
    if column.null_count:
        row = column.is_null().to_numpy().argmax()
        raise DataError(f"{file} row {row}: there is no {what} (null).")
