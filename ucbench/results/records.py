"""The record of a cell: one JSON file, its schema, reading and writing.

:class:`Done` and :class:`Failed` are the schema, used for reading, writing and ``ucbench leaderboard check``. Code
passes a record around as plain JSON, so that fields outside the schema survive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ucbench.errors import DataError
from ucbench.store.files import atomic_write_text

Record = dict[str, Any]

#: Increase when the layout of a record changes, and add an entry for the old number to :data:`MIGRATIONS`.
SCHEMA = 1
#: For each older schema, the function that makes a record of the next; it must not change its argument.
MIGRATIONS: Mapping[int, Callable[[Record], Record]] = {}

#: Relative excess over the budget that floating-point measurement may cause.
_SLACK = 1e-6

Percent = Annotated[float, Field(ge=0, le=100 + 1e-9)]
Text = Annotated[str, Field(min_length=1)]
#: Tables hold integers of 64 bits.
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
#: A value of a requested metric, integer or not.
Measured = Annotated[float, Field(gt=-(2**63), lt=2**63)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Request(_Model):
    """The request, as :meth:`ucbench.matrix.cell.Cell.describe` returns it."""

    dataset: Text
    poisoner: Text
    preset: Text
    surrogate: Text
    craft_labels: Text
    labeling: Text
    defense: Text
    victim: Text
    norm: Literal["linf", "l2", "l0", "unbounded"]
    epsilon: Annotated[float, Field(gt=0)] | None
    mixture: Annotated[float, Field(gt=0, le=1)]
    trusted: Count
    craft_seed: Integer | None
    train_seed: Integer


class Data(_Model):
    """Fingerprints of the images."""

    train: Text
    test: Text


class Numerics(_Model):
    dtype: Literal["float32", "bfloat16"]
    threads: Annotated[int, Field(ge=1)]
    deterministic: bool


class Environment(_Model):
    versions: dict[str, str]


class Point(_Model):
    """One evaluated epoch."""

    test_accuracy: Percent | None = None


class Metrics(_Model):
    __pydantic_extra__: dict[str, Measured | None] = Field(init=False)

    test_accuracy: Percent
    chance: Percent
    balanced_accuracy: Percent | None = None
    matched_accuracy: Percent | None = None
    test_accuracy_best: Percent | None = None
    train_accuracy: Percent | None = None
    perturbed_test_accuracy: Percent | None = None
    guess_accuracy: Percent | None = None
    linear_probe: Percent | None = None


class Error(_Model):
    type: Text
    text: str


class _Any(_Model):
    """Fields of every record."""

    schema_: int = Field(alias="schema")
    cell: Text
    release: Text | None
    request: Request
    components: dict[str, dict[str, Any]]
    label_access: Literal["none", "names", "full"]
    oracle: bool
    granularity: Text
    data: Data
    numerics: Numerics
    environment: Environment


class Done(_Any):
    """The record of a measured cell."""

    status: Literal["ok"]
    metrics: Metrics
    epochs: Count | None = None
    history: list[Point]
    budget: dict[str, float]
    #: None where an opaque trainer does not report it.
    cost: dict[str, float | None]


class Failed(_Any):
    """The record of a cell that raised an error."""

    status: Literal["failed"]
    error: Error


def faults(record: Any) -> list[str]:
    """What is wrong with the content of a record; empty if it follows schema :data:`SCHEMA`."""
    if not isinstance(record, Mapping) or not isinstance(record.get("schema"), int):
        return ["it has no schema number"]
    if record["schema"] != SCHEMA:
        return [f"it has schema {record['schema']}; this version of ucbench reads schema {SCHEMA}"]
    if not_finite := [f"{place} is not finite" for place in _not_finite(record, "")]:
        return not_finite
    try:
        (Failed if record.get("status") == "failed" else Done).model_validate(record)
    except ValidationError as error:
        return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return _over_budget(record)


def _over_budget(record: Mapping[str, Any]) -> list[str]:
    request, measured = record["request"], record.get("budget", {})
    largest = measured.get(f"{request['norm']}_max")
    if largest is None or request["epsilon"] is None or largest <= request["epsilon"] * (1 + _SLACK):
        return []
    return [f"its largest change is {largest:g} in {request['norm']}, over the budget of {request['epsilon']:g}"]


def _not_finite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _not_finite(entry, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _not_finite(entry, f"{place}[{number}]")


def record_path(out: Path, cell_key: str) -> Path:
    return out / "records" / f"{cell_key}.json"


def write_record(out: Path, record: Record) -> Path:
    """Write ``out/records/<cell>.json``, whole or not at all.

    Raises:
        DataError: if the record is not well-formed; an earlier record then stays.
    """
    if wrong := faults(record):
        raise DataError(f"The record of cell {_cell(record)} is not well-formed: {'; '.join(wrong)}.")
    path = record_path(out, record["cell"])
    atomic_write_text(path, to_json(record))
    return path


def to_json(record: Record) -> str:
    """A record as the text of its file; equal records give equal texts."""
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Read one record; one of an older schema is migrated.

    Raises:
        DataError: if the file is not a well-formed record of a schema that this version knows; the text names the file.
    """
    try:
        record = migrated(json.loads(path.read_text(encoding="utf-8")))
        wrong = faults(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        wrong = [f"{type(error).__name__}: {error}"]
    if wrong:
        raise DataError(
            f"{path} is not a record of ucbench: {'; '.join(wrong)}. Move it away to have the cell computed again."
        )
    return dict(record)


def migrated(record: Any) -> Any:
    """The record after all applicable :data:`MIGRATIONS`."""
    while isinstance(record, dict) and (step := MIGRATIONS.get(record.get("schema", SCHEMA))):
        record = step(record)
    return record


def read_records(out: Path) -> Iterator[Record]:
    """All records of a result folder, by file name.

    Raises:
        DataError: as :func:`read_record`.
    """
    for path in sorted((out / "records").glob("*.json")):
        yield read_record(path)


def records_in(folder: Path) -> list[Record]:
    """As :func:`read_records`, but raises DataError where there are no records."""
    if records := list(read_records(folder)):
        return records
    raise DataError(f"There are no records in {folder / 'records'}.")


def _cell(record: Any) -> Any:
    return record.get("cell") if isinstance(record, Mapping) else None
