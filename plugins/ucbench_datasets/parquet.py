"""Images in parquet files, as the Hugging Face hub lays them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ucbench import DataError, FramedDataset, LabelSet, LazyImage, Sources, Split, SplitName
from ucbench_datasets.params import ParquetParams
from ucbench_datasets.parquet_columns import (
    class_names,
    has_texts,
    image_column,
    is_label,
    is_text,
    label_column,
    label_type,
    read_schema,
)
from ucbench_datasets.parquet_layout import split_files
from ucbench_datasets.text_labels import LARGEST_UNNAMED

Classes = tuple[str, ...]


class Table(NamedTuple):
    """The rows of one split: N encoded images, label columns of N rows by name, and where they were found."""

    images: list[LazyImage]
    columns: dict[str, LabelSet]
    sources: Sources = Sources()


class Parquet(FramedDataset):
    """``PATH/train-*.parquet`` and ``PATH/test-*.parquet``; see
    :func:`ucbench_datasets.parquet_layout.split_files`.

    Integer columns that have class names and were not chosen by ``label`` become further label sets. If the
    chosen column has none, its classes are those of the training split: numbers from 0 to the largest, texts in sorted
    order, or false and true.
    """

    name = "parquet"
    params: ParquetParams

    def __init__(self, params: ParquetParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()

    def find(self, split: SplitName) -> Split:
        training, sources = split_files(self._path, "train")
        files, sources = (training, sources) if split == "train" else split_files(self._path, split)
        return read_split(files, training, sources, self.params.label, self.params.image)


def read_split(
    files: Sequence[Path],
    training: Sequence[Path],
    sources: Sources,
    label: str | None,
    image: str | None,
    home: Path | None = None,
) -> Split:
    """The images and labels of a split's files; classes without names are those of the training files.

    Args:
        label, image: columns; None for the usual or only ones.
        home: as for :func:`read_table`.

    Raises:
        DataError: as :func:`read_table`; if the labels are text in the training files and integers here, or the
            reverse, so that nothing says which are the same.
    """
    label = label_column(training[0], label)
    classes = class_names(files[0])
    if label not in classes:
        classes[label] = observed_classes(training, label)
        for file in files:
            _check_kind(file, training[0], label)
    table = read_table(files, classes, image, home)
    columns = dict(table.columns)
    column = columns.pop(label)
    return Split(table.images, column.labels, column.classes, columns, sources)


def read_table(
    files: Sequence[Path], classes: Mapping[str, Classes], image: str | None = None, home: Path | None = None
) -> Table:
    """Read the images of all files, and the label columns that ``classes`` names with their class names.

    Args:
        image: the column of the images, or None if there is only one.
        home: a folder from which files are read where a row has only the path of an image; None refuses such rows.

    Raises:
        DataError: for an unreadable file, a missing column, files that disagree about class names, and null
            or out-of-range values, naming file and row.
    """
    images: list[LazyImage] = []
    labels: dict[str, list[NDArray[np.int64]]] = {column: [] for column in classes}
    for file in files:
        if class_names(file) != class_names(files[0]):
            raise DataError(f"{file} has other class names than {files[0]}; files of one split need the same.")
        stored, *stored_labels = _read(file, [image_column(file, image), *classes])
        images += _images(stored, file, home)
        for (column, names), values in zip(classes.items(), stored_labels, strict=True):
            labels[column].append(_labels(_plain(values, file, column), names, file, column))
    return Table(images, {name: LabelSet(np.concatenate(labels[name]), classes[name]) for name in classes})


def observed_classes(files: Sequence[Path], column: str) -> Classes:
    """The classes of a column without class names: texts in sorted order, false and true, or numbers from 0 on.

    Raises:
        DataError: for labels that are missing, of several types, negative, or too large to number classes.
    """
    columns = [(_plain(_read(file, [column])[0], file, column), file) for file in files]
    if len({is_text(values.type) for values, _ in columns}) > 1:
        raise DataError(f"{files[0].parent}: column {column!r} holds text in some files and integers in others.")
    if is_text(columns[0][0].type):
        return tuple(sorted({text for values, _ in columns for text in pc.unique(values).to_pylist()}))
    largest = max(
        _within_range(values, LARGEST_UNNAMED + 1, file, column).max(initial=0) for values, file in columns
    )  # fmt: skip
    return tuple(str(label) for label in range(int(largest) + 1))


def _check_kind(file: Path, training: Path, column: str) -> None:
    here, there = label_type(file, column), label_type(training, column)
    if here is not None and there is not None and has_texts(here) != has_texts(there):
        raise DataError(
            f"{file}: column {column!r} holds {here}, but {there} in {training}. Without class names, the labels of"
            " training and test files must be of one kind, integers or text."
        )


def _read(file: Path, columns: list[str]) -> list[pa.ChunkedArray]:
    there = read_schema(file).names
    if wrong := [column for column in columns if there.count(column) != 1]:
        problem = "several columns are called" if wrong[0] in there else "there is no column"
        raise DataError(f"{file}: {problem} {wrong[0]!r}. Its columns: {', '.join(there)}.")
    try:
        if file.suffix == ".arrow":
            # The mapping lives as long as what is read from it.
            table = pa.ipc.open_stream(pa.memory_map(str(file))).read_all().select(columns)
            table.validate(full=True)  # a stream may say anything about its buffers
        else:
            with pq.ParquetFile(file) as opened:
                table = opened.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as {file.suffix[1:]}: {error}") from error
    return [table.column(column) for column in columns]


def _images(column: pa.ChunkedArray, file: Path, home: Path | None = None) -> list[LazyImage]:
    encoded = pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column
    if encoded.null_count and home is not None and pa.types.is_struct(column.type):
        return [_image(row["bytes"], row.get("path"), f"{file} row {n}", home) for n, row in enumerate(_rows(column))]
    if encoded.null_count:
        row = _first_null(encoded)
        stored = column[row].as_py()
        path = stored.get("path") if isinstance(stored, dict) else None
        if path:
            raise DataError(f"{file} row {row}: there is only the path {path!r} of an image. Store its bytes instead.")
        raise DataError(f"{file} row {row}: there is no image (null).")
    # Views of Arrow's buffers: the encoded files are not copied.
    return [LazyImage(memoryview(value.as_buffer()), f"{file} row {row}") for row, value in enumerate(encoded)]


def _rows(column: pa.ChunkedArray) -> Iterator[dict[str, Any]]:
    return (row.as_py() or {"bytes": None} for row in column)


def _image(encoded: bytes | None, path: str | None, where: str, home: Path) -> LazyImage:
    if encoded is not None:
        return LazyImage(encoded, where)
    if not path:
        raise DataError(f"{where}: there is no image (null).")
    if not Path(path).resolve().is_relative_to(home.resolve()):
        raise DataError(f"{where}: the path {path!r} of its image leads out of {home}.")
    return LazyImage(Path(path), where)


def _plain(column: pa.ChunkedArray, file: Path, name: str) -> pa.ChunkedArray:
    """A label column without nulls, categories as their values, texts composed (NFC), false and true as texts."""
    if column.null_count:
        raise DataError(f"{file} row {_first_null(column)}: there is no label in column {name!r} (null).")
    if not is_label(column.type):
        raise DataError(f"{file}: column {name!r} holds {column.type}, which is no label. Convert it to integers.")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
        return _plain(column, file, name)  # categories may be null too
    if pa.types.is_boolean(column.type):
        return pc.cast(column, pa.string())
    return pc.utf8_normalize(column, form="NFC") if is_text(column.type) else column


def _labels(column: pa.ChunkedArray, classes: Classes, file: Path, name: str) -> NDArray[np.int64]:
    if is_text(column.type):
        return _numbers_of(column.to_pylist(), classes, file, name)
    return _within_range(column, len(classes), file, name)


def _numbers_of(texts: Sequence[str], classes: Classes, file: Path, name: str) -> NDArray[np.int64]:
    numbers = {text: number for number, text in enumerate(classes)}
    for row, text in enumerate(texts):
        if text not in numbers:
            raise DataError(
                f"{file} row {row}: label {text!r} in column {name!r} is none of the training split's classes."
            )
    return np.array([numbers[text] for text in texts], np.int64)


def _within_range(column: pa.ChunkedArray, classes: int, file: Path, name: str) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{file} row {wrong[0]}: label {labels[wrong[0]]} in column {name!r} is out of range;"
            f" labels run from 0 to {classes - 1}."
        )
    return labels


def _first_null(column: pa.ChunkedArray) -> int:
    return int(column.is_null().to_numpy().argmax())
