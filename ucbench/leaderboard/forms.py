"""The form of a record: what a JSON file must hold to be read as one, and which numbers cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ucbench.results.records import SCHEMA

#: Measured sizes may exceed the budget by so much, relative to it: they are computed in floating point.
_SLACK = 1e-6

Percent = Annotated[float, Field(ge=0, le=100 + 1e-9)]
Text = Annotated[str, Field(min_length=1)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Request(_Form):
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


class _Data(_Form):
    train: Text
    test: Text


class _Numerics(_Form):
    dtype: Literal["float32", "bfloat16"]
    threads: Annotated[int, Field(ge=1)]
    deterministic: bool


class _Environment(_Form):
    versions: dict[str, str]


class _Record(_Form):
    schema_: int = Field(alias="schema")
    cell: Text
    release: Text | None
    request: _Request
    components: dict[str, dict[str, Any]]
    label_access: Literal["none", "names", "full"]
    oracle: bool
    granularity: Text
    data: _Data
    numerics: _Numerics
    environment: _Environment


class _Point(_Form):
    test_accuracy: Percent | None = None


class _Metrics(_Form):
    test_accuracy: Percent
    chance: Percent
    balanced_accuracy: Percent | None = None
    matched_accuracy: Percent | None = None
    test_accuracy_best: Percent | None = None
    train_accuracy: Percent | None = None
    perturbed_test_accuracy: Percent | None = None
    guess_accuracy: Percent | None = None
    linear_probe: Percent | None = None


class _Done(_Record):
    status: Literal["ok"]
    metrics: _Metrics
    history: list[_Point]
    budget: dict[str, float]
    #: None for what nobody but an opaque trainer knows, as of :class:`ucbench.exploit.train.Trained`.
    cost: dict[str, float | None]


class _Error(_Form):
    type: Text
    text: str


class _Failed(_Record):
    status: Literal["failed"]
    error: _Error


def faults(record: Any) -> list[str]:
    """What is wrong with the content of a record; empty if nothing is."""
    if not isinstance(record, Mapping) or not isinstance(record.get("schema"), int):
        return ["it has no schema number"]
    if record["schema"] != SCHEMA:
        return [f"it has schema {record['schema']}, and this version of ucbench reads schema {SCHEMA}"]
    endless = [f"{place} is not finite" for place in _not_finite(record, "")]
    if endless:
        return endless
    try:
        (_Failed if record.get("status") == "failed" else _Done).model_validate(record)
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
