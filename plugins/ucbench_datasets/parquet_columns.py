"""Which column of a parquet file holds images, labels and class names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ucbench import DataError, UnmetRequestError

#: What label columns are called: the first two before all others, as the Hugging Face hub calls them.
_FIRST_LABELS = ("label", "fine_label")
_USUAL_LABELS = ("labels", "class", "target", "category")


def read_schema(file: Path) -> pa.Schema:
    """The schema of a parquet file, or of a stream of Arrow if it is called so (``.arrow``).

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        if file.suffix == ".arrow":
            with pa.memory_map(str(file)) as opened, pa.ipc.open_stream(opened) as stream:
                return stream.schema
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as {file.suffix[1:]}: {error}") from error


def label_column(file: Path, asked: str | None = None) -> str:
    """The label column of a file: the one asked for; else ``label`` or ``fine_label``; else the only one with class
    names; else the only one of another usual name. No column is taken for its type alone.

    Raises:
        UnmetRequestError: if that is not one column.
        DataError: if it holds no labels, or the file cannot be read. Texts name the columns of the file.
    """
    schema = read_schema(file)
    names: list[str] = [column.name for column in schema]
    named = list(class_names(file))
    first = next((name for name in _FIRST_LABELS if name in names), named[0] if len(named) == 1 else None)
    wanted = asked or first
    candidates = [name for name in names if (name == wanted if wanted else name.lower() in _USUAL_LABELS)]
    if asked is not None:
        problem = f"there are {len(candidates)} columns {asked!r}"
    elif len(candidates) > 1 or len(named) > 1:
        problem = "several columns could be the labels"
    else:
        problem = "no column is called label or has class names"
    if len(candidates) != 1:
        raise UnmetRequestError(f"{file}: {problem}; choose the labels with label=COLUMN. {_columns(schema)}")
    label = candidates[0]
    if not is_label(schema.field(label).type):
        raise DataError(
            f"{file}: column {label!r} holds {schema.field(label).type}, which is no label: labels are integers,"
            f" text, categories, or true and false. Convert it, or choose another with label=COLUMN. {_columns(schema)}"
        )
    return label


def image_column(file: Path, asked: str | None = None) -> str:
    """The column of encoded images: the one asked for, else the only one of type ``struct<bytes, ...>`` or binary.

    Raises:
        UnmetRequestError: if that is not one column; the text names those of the file.
        DataError: if the file cannot be read.
    """
    schema = read_schema(file)
    names: list[str] = [column.name for column in schema if _holds_bytes(column.type) and asked in (None, column.name)]
    if len(names) != 1:
        advice = " Choose one with image=COLUMN." if len(names) > 1 else ""
        expected = "one column of encoded images" if asked is None else f"encoded images in column {asked!r}"
        raise UnmetRequestError(f"{file}: expected {expected}, found {len(names)}.{advice} {_columns(schema)}")
    return names[0]


def class_names(file: Path) -> dict[str, tuple[str, ...]]:
    """Class names by integer column, from the ``huggingface`` metadata, else from ``labels.json`` in the same
    folder.

    Columns without class names are left out.

    Raises:
        DataError: if either is no JSON object.
    """
    schema = read_schema(file)
    metadata = _mapping((schema.metadata or {}).get(b"huggingface", b"{}"), f"{file} metadata 'huggingface'")
    beside = file.parent / "labels.json"
    listed = _mapping(beside.read_bytes(), str(beside)) if beside.is_file() else {}
    named = {}
    for column in schema:
        names = _within(metadata, "info", "features", column.name, "names") or listed.get(column.name)
        if pa.types.is_integer(column.type) and isinstance(names, list):
            named[column.name] = tuple(str(name) for name in names)
    return named


def is_label(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold labels."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind))


def label_type(file: Path, column: str) -> pa.DataType | None:
    """The type of a column's values, of categories too; None if there is not exactly one column of this name."""
    schema = read_schema(file)
    place = schema.get_field_index(column)
    kind = None if place < 0 else schema.field(place).type
    return kind.value_type if kind is not None and pa.types.is_dictionary(kind) else kind


def has_texts(kind: pa.DataType) -> bool:
    """Whether classes of a column of this type are texts, as those of false and true are."""
    return bool(is_text(kind) or pa.types.is_boolean(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return bool(place >= 0 and _is_binary(kind.field(place).type))
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _within(value: Any, *keys: str) -> Any:
    """The value below ``keys``; None where there is none, as in features that are lists."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


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
