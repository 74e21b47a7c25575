"""One JSON file a cell: its schema, writing and reading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ucbench.errors import DataError
from ucbench.store.files import atomic_write_text

#: Raised when the layout of a record changes; a reader migrates older ones.
SCHEMA = 1

Record = dict[str, Any]


def record_path(out: Path, cell_key: str) -> Path:
    return out / "records" / f"{cell_key}.json"


def write_record(out: Path, record: Record) -> Path:
    """Write ``out/records/<cell>.json``, whole or not at all."""
    path = record_path(out, record["cell"])
    atomic_write_text(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        DataError: naming the file, if it is no record or of a schema this version does not know.
    """
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        schema, _ = record["schema"], record["cell"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a record of ucbench: {type(error).__name__}: {error}."
            " Move it away to have the cell computed again."
        ) from error
    if schema != SCHEMA:
        raise DataError(f"{path} has schema {schema}; this version of ucbench reads schema {SCHEMA}.")
    return record


def read_records(out: Path) -> Iterator[Record]:
    """All records of a result folder, by file name."""
    for path in sorted((out / "records").glob("*.json")):
        yield read_record(path)
