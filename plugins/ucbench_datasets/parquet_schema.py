"""What a parquet file's schema tells: which column holds pictures, which labels, and the class names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ucbench import DataError

#: Which of several integer columns holds the labels where none was asked for.
_USUAL_LABELS = ("label", "fine_label")


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
        DataError: naming the columns there are.
    """
    schema = read_schema(file)
    integers = [column.name for column in schema if pa.types.is_integer(column.type)]
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


def picture_column(file: Path) -> str:
    """The column of encoded pictures: the only one of type ``struct<bytes, ...>`` or binary.

    Raises:
        DataError: naming the columns there are.
    """
    schema = read_schema(file)
    found = [column.name for column in schema if _holds_bytes(column.type)]
    if len(found) != 1:
        raise DataError(f"{file}: expected one column of encoded pictures, found {len(found)}. {_columns(schema)}")
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
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


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
