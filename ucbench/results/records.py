"""The record of a cell: one JSON file, its schema, reading and writing.

:class:`Done` and :class:`Failed` are the schema, used for reading, writing and ``ucbench leaderboard check``. Code
passes a record around as plain JSON, so that fields outside the schema survive.
"""

from __future__ import annotations

import json
import logging
import math
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ucbench.errors import DataError, visible
from ucbench.plugins.specs import OWN_PLATFORM
from ucbench.store.files import atomic_write_text, reporting
from ucbench.store.untrusted import check_json, read_json

_log = logging.getLogger(__name__)

Record = dict[str, Any]

#: Increase when the layout of a record changes, and add an entry for the old number to :data:`MIGRATIONS`.
SCHEMA = 1
#: For each older schema, the function that makes a record of the next; it must not change its argument.
MIGRATIONS: Mapping[int, Callable[[Record], Record]] = {}
#: Places of components behind others: what ``shuffled`` shuffles, and the models of craft labels and of a labeling. The
#: kind comes first, as in ``defense-1``. Older records lack them.
BEHIND = ("poisoner-base", "surrogate-craft-labels", "surrogate-labeling")

#: Most faults of a record that an error names.
_SHOWN = 3
#: Relative excess over the budget that floating-point measurement may cause.
_SLACK = 1e-6

Percent = Annotated[float, Field(ge=0, le=100 + 1e-9)]
Text = Annotated[str, Field(min_length=1)]
#: A key of :func:`ucbench.store.keys.key`. It becomes part of file names, so nothing else may be one.
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
#: Tables hold integers of 64 bits.
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, lt=2**31)]
#: A value of a requested metric, integer or not.
Measured = Annotated[float, Field(gt=-(2**63), lt=2**63)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class RecordedRequest(_Model):
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
    """Fingerprints and numbers of the images."""

    train: Text
    test: Text
    #: Absent where nothing reads the trusted images, and from older records.
    trusted: Text | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    classes: Count | None = None
    #: Height and width.
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None


class Component(_Model):
    """Identity and origin of a component."""

    name: Text
    version: Integer
    params: dict[str, Any]
    distribution: str
    distribution_version: str


class Numerics(_Model):
    model_config = ConfigDict(extra="forbid")

    dtype: Literal["float32", "bfloat16"]
    threads: Annotated[int, Field(ge=1)]
    deterministic: bool
    compiled: bool = False


class Environment(_Model):
    versions: dict[str, str]
    #: Versions of what trained the victim in a process of its own, by its name.
    trainers: dict[str, dict[str, str]] = {}


class Point(_Model):
    """One evaluated epoch."""

    epoch: Count | None = None
    test_accuracy: Percent | None = None
    loss: float | None = None
    lr: float | None = None


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
    cosine_gap: Measured | None = None
    linear_probe: Percent | None = None


class Crafting(_Model):
    notes: dict[str, Any] = {}
    warnings: list[str] = []


class Error(_Model):
    type: Text
    text: str
    #: The line of a plugin that led to it; empty where none did, and in older records.
    place: str = ""


class _Any(_Model):
    """Fields of every record."""

    schema_: int = Field(alias="schema")
    cell: Key
    release: Key | None
    request: RecordedRequest
    components: dict[str, Component]
    label_access: Literal["none", "names", "full"]
    oracle: bool
    granularity: Text
    platform: Text = OWN_PLATFORM
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
    crafting: Crafting = Crafting()
    notes: dict[str, Any] = {}
    warnings: list[str] = []
    measured_by: dict[str, str] = {}


class Failed(_Any):
    """The record of a cell that raised an error."""

    status: Literal["failed"]
    error: Error


def platform_of(record: Record) -> str:
    """Whose trainer trained the record's victim; this package's where an older record does not say."""
    return str(record.get("platform", OWN_PLATFORM))


def failure_text(record: Record) -> str:
    """The error of a failed cell without its traceback, and the line of a plugin that led to it."""
    error = record["error"]
    said = f"{error['type']}: {error['text']}"
    if error["text"].startswith("Traceback"):
        *_, ending = re.split(rf"^(?=(?:\S+\.)?{re.escape(error['type'])}\b)", error["text"], flags=re.MULTILINE)
        said = " ".join(ending.split())
    return f"{said} ({error['place']})" if error.get("place") else said


def faults(record: Any) -> list[str]:
    """What is wrong with the content of a record; empty if it follows schema :data:`SCHEMA`."""
    if not isinstance(record, Mapping) or not isinstance(record.get("schema"), int):
        return ["it has no schema number"]
    if record["schema"] != SCHEMA:
        return [f"it has schema {record['schema']}; this version of ucbench reads schema {SCHEMA}"]
    try:
        check_json(record)
    except (TypeError, ValueError) as error:
        return [str(error)]
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

    A file of that name that is not the record of this cell, such as one of a later version of ucbench, is moved to
    ``out/quarantine``.

    Raises:
        DataError: if the record is not well-formed; an earlier record then stays.
    """
    if wrong := faults(record):
        raise DataError(f"The record of cell {record.get('cell')} is not well-formed: {'; '.join(wrong)}.")
    path = record_path(out, record["cell"])
    if path.exists():
        try:
            read_record(path)
        except DataError:
            target = out / "quarantine" / f"{path.stem}-{uuid.uuid4().hex[:8]}.json"
            with reporting(path):
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
            _log.warning("What was in %s is now %s.", visible(str(path)), visible(str(target)))
    atomic_write_text(path, to_json(record))
    return path


def to_json(record: Record) -> str:
    """A record as the text of its file; equal records give equal texts."""
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Read the record ``<cell>.json``; one of an older schema is migrated. All that reads records calls this.

    Raises:
        DataError: if the file is not the well-formed record of the cell that it is named after, in a schema that this
            version knows; the text, one line, names the file. See :func:`ucbench.store.untrusted.read_json` for limits.
    """
    try:
        record = migrated(read_json(path))
        wrong = faults(record)
    except OSError as error:
        wrong = [error.strerror or type(error).__name__]
    except (ValueError, KeyError, TypeError) as error:
        wrong = [f"{type(error).__name__}: {error}"]
    if not wrong and path.name != f"{record['cell']}.json":
        wrong = [f"it contains another cell, {record['cell']}"]
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(visible(f"{path} is not a record of ucbench: {'; '.join(wrong[:_SHOWN])}{more}."))
    return dict(record)


def migrated(record: Any) -> Any:
    """The record after all applicable :data:`MIGRATIONS`."""
    while isinstance(record, dict) and (step := MIGRATIONS.get(record.get("schema", SCHEMA))):
        record = step(record)
    return record


def record_files(folder: Path) -> list[Path]:
    """What ``folder/records`` holds, by name, except hidden files, which systems and editors leave."""
    return sorted(path for path in (folder / "records").glob("*") if not path.name.startswith("."))


def read_records(out: Path) -> Iterator[Record]:
    """All records of a result folder, by file name; warns of each other ``.json`` file and leaves it out."""
    return readable(path for path in record_files(out) if path.suffix == ".json")


def readable(paths: Iterable[Path]) -> Iterator[Record]:
    """The records in these files; warns of each that is none, and leaves it out."""
    for path in paths:
        try:
            yield read_record(path)
        except DataError as error:
            _log.warning("%s It is left out.", error)


def current(records: Iterable[Record]) -> list[Record]:
    """The records but those of which a later version of a component has made another; warns of what is left out.

    Both are of one request, the same images and the same numerics: their mean would be that of no version.
    """
    records = list(records)
    same: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        request = tuple(record["request"][name] for name in RecordedRequest.model_fields if name != "dataset")
        images = record["data"]["train"], record["data"]["test"]
        same[request, images, tuple(sorted(record["numerics"].items()))].append(record)
    earlier = {
        id(record): str(record["cell"])
        for made in same.values()
        for record in made
        if any(_is_earlier(record, other) for other in made)
    }
    if earlier:
        shown = visible(", ".join(sorted(earlier.values())[:_SHOWN])) + (" and others" if len(earlier) > _SHOWN else "")
        _log.warning(
            "%d records are left out, since later versions of their components made others of the same cells: %s.",
            len(earlier),
            shown,
        )
    return [record for record in records if id(record) not in earlier]


def _is_earlier(record: Record, other: Record) -> bool:
    """Whether a component of ``other`` has a later version, and none an earlier one, or it states what older ones lack.

    That is the trusted images, and the components :data:`BEHIND` others.
    """
    # Of a data set, keys have the images alone.
    places = (record["components"].keys() & other["components"].keys()) - {"dataset"}
    pairs = [(record["components"][place], other["components"][place]) for place in places]
    versions = [(part["version"], theirs["version"]) for part, theirs in pairs if part["name"] == theirs["name"]]
    versions.append(("trusted" in record["data"], "trusted" in other["data"]))
    versions += [(place in record["components"], place in other["components"]) for place in BEHIND]
    return all(one <= two for one, two in versions) and any(one < two for one, two in versions)


def records_in(folder: Path) -> list[Record]:
    """As :func:`read_records`, but raises DataError where there are no records."""
    if records := list(read_records(folder)):
        return records
    missing = "" if folder.exists() else f" {folder} does not exist."
    raise DataError(f"There are no records in {folder / 'records'}.{missing}")
