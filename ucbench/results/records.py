"""The record of a cell: one JSON file, its schema, reading and writing.

:class:`Done` and :class:`Failed` describe a record for reading, writing and ``ucbench leaderboard check``. It is passed
around as the JSON object it is, so that fields which are not described survive.
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

#: Raised when the layout of a record changes; :data:`MIGRATIONS` then gets an entry for the number before.
SCHEMA = 1
#: For each older schema, the function that makes a record of the next one; it must not change its argument.
MIGRATIONS: Mapping[int, Callable[[Record], Record]] = {}

#: Measured sizes may exceed the budget by this much, relative to it: they are computed in floating point.
_SLACK = 1e-6

Percent = Annotated[float, Field(ge=0, le=100 + 1e-9)]
Text = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Request(_Model):
    """What was asked for, as :meth:`ucbench.matrix.matrix.Cell.describe` says it."""

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
    trusted: Annotated[int, Field(ge=0)]
    craft_seed: int | None
    train_seed: int


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
    """What every record has."""

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
    """The record of a cell that was measured."""

    status: Literal["ok"]
    metrics: Metrics
    history: list[Point]
    budget: dict[str, float]
    #: None for what an opaque trainer does not tell.
    cost: dict[str, float | None]


class Failed(_Any):
    """The record of a cell that raised an error."""

    status: Literal["failed"]
    error: Error


def faults(record: Any) -> list[str]:
    """What is wrong with the content of a record of schema :data:`SCHEMA`; empty if nothing is."""
    if not isinstance(record, Mapping) or not isinstance(record.get("schema"), int):
        return ["it has no schema number"]
    if record["schema"] != SCHEMA:
        return [f"it has schema {record['schema']}; this version of ucbench reads schema {SCHEMA}"]
    if endless := [f"{place} is not finite" for place in _not_finite(record, "")]:
        return endless
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
        DataError: if the record is not well-formed; what was there stays.
    """
    if wrong := faults(record):
        raise DataError(f"The record of cell {_cell(record)} is not well-formed: {'; '.join(wrong)}.")
    path = record_path(out, record["cell"])
    atomic_write_text(path, to_json(record))
    return path


def to_json(record: Record) -> str:
    """A record as its file has it: equal records are equal texts."""
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Read one record; one of an older schema is migrated.

    Raises:
        DataError: with the file's name, if it is not a well-formed record of a schema that this version knows.
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
    """The record in schema :data:`SCHEMA`, by the steps of :data:`MIGRATIONS`; as it is where there is no step."""
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
    """The records in ``folder``, as :func:`read_records`; a DataError where there are none."""
    if records := list(read_records(folder)):
        return records
    raise DataError(f"There are no records in {folder / 'records'}.")


def _cell(record: Any) -> Any:
    return record.get("cell") if isinstance(record, Mapping) else None
