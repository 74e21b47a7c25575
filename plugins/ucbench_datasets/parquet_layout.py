"""How data sets lie in parquet files: which file holds which split, and which column images, labels and class names."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ucbench import DataError, SplitName

_SPLIT_WORD = re.compile(r"(train|test|validation|valid|val)(?![a-z])", re.IGNORECASE)
#: What serves as which split, the first that there is.
_SERVES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", ""),
    "test": ("test", "validation", "valid", "val"),
}
#: Which of several integer columns holds the labels where none was asked for.
_USUAL_LABELS = ("label", "fine_label")


def split_files(path: Path, split: SplitName) -> list[Path]:
    """The parquet files of a split, in sorted order.

    ``path`` is one file (the training split), or a folder whose files start with the split's name
    (``train-00000-of-00002.parquet``) or lie in a folder of that name. A folder without test files uses its
    validation files; without training files, those that name no split are the training data.

    Raises:
        DataError: if there are none; the text lists what there is.
    """
    if not path.exists():
        raise DataError(f"parquet: {path} does not exist.")
    groups = {"train": [path]} if path.is_file() else _by_split(path)
    for name in _SERVES[split]:
        if name in groups:
            return groups[name]
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    there = ", ".join(str(file.relative_to(path.parent)) for file in files[:5]) or "no parquet file"
    advice = ", or ask for validation=0.2" if split == "test" else ""
    raise DataError(f"parquet: {path} has no {split} files; there is {there}. Name them {split}-*.parquet{advice}.")


def _by_split(folder: Path) -> dict[str, list[Path]]:
    """Sorted files by the split they name, those that name none under the empty text."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("*.parquet")):
        word = _SPLIT_WORD.match(file.name)
        groups[word[1].lower() if word else ""].append(file)
    for file in sorted(folder.glob("*/*.parquet")):
        if word := _SPLIT_WORD.fullmatch(file.parent.name):
            groups[word[1].lower()].append(file)
    return groups


def read_schema(file: Path) -> pa.Schema:
    """The schema of a file.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as parquet: {error}") from error


def label_column(file: Path, asked: str | None = None) -> str:
    """The label column of a file: the one asked for, the only integer column, ``label`` or ``fine_label``.

    Raises:
        DataError: naming the columns of the file.
    """
    schema = read_schema(file)
    integers: list[str] = [column.name for column in schema if pa.types.is_integer(column.type)]
    if asked is not None:
        found = [name for name in integers if name == asked]
    elif len(integers) == 1:
        found = integers
    else:
        found = [name for name in _USUAL_LABELS if name in integers]
    if not found:
        problem = "several columns could be the labels" if integers else "no column of integers could be the labels"
        if asked is not None:
            problem = f"no column {asked!r} of integer labels"
        raise DataError(f"{file}: {problem}; choose with label=. {_columns(schema)}")
    return found[0]


def image_column(file: Path) -> str:
    """The column of encoded images: the only one of type ``struct<bytes, ...>`` or binary.

    Raises:
        DataError: naming the columns of the file.
    """
    schema = read_schema(file)
    found: list[str] = [column.name for column in schema if _holds_bytes(column.type)]
    if len(found) != 1:
        raise DataError(f"{file}: expected one column of encoded images, found {len(found)}. {_columns(schema)}")
    return found[0]


def class_names(file: Path) -> dict[str, tuple[str, ...]]:
    """Class names by integer column, from the ``huggingface`` metadata, else from ``labels.json`` in the same
    folder.

    Columns without class names are left out.

    Raises:
        DataError: if either is malformed.
    """
    schema = read_schema(file)
    metadata = _mapping((schema.metadata or {}).get(b"huggingface", b"{}"), f"{file} metadata 'huggingface'")
    features = metadata.get("info", {}).get("features", {})
    beside = file.parent / "labels.json"
    listed = _mapping(beside.read_bytes(), str(beside)) if beside.is_file() else {}
    named = {}
    for column in schema:
        names = features.get(column.name, {}).get("names") or listed.get(column.name)
        if pa.types.is_integer(column.type) and isinstance(names, list):
            named[column.name] = tuple(str(name) for name in names)
    return named


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _mapping(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, got {type(value).__name__}.")
    return value


def _columns(schema: pa.Schema) -> str:
    return f"Its columns: {', '.join(f'{column.name} ({column.type})' for column in schema)}."
