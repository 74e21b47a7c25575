"""Records of leaderboards, written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ucbench.store.keys import key

Record = dict[str, Any]


def record(poisoner: str, seed: int, accuracy: float, defense: str = "none", **request: Any) -> Record:
    """A well-formed record of one cell; ``access`` and ``oracle`` among the ``request`` belong to the poisoner."""
    clean = poisoner == "clean"
    access, oracle = request.pop("access", "none"), request.pop("oracle", False)
    requested = {
        "dataset": "digits", "poisoner": poisoner, "preset": "standard", "surrogate": "none", "craft_labels": "none",
        "labeling": "original", "defense": defense, "victim": "resnet18:width=16",
        "norm": "unbounded" if clean else "linf", "epsilon": None if clean else 8.0, "mixture": 1.0, "trusted": 0,
        "craft_seed": None if clean else seed, "train_seed": seed, **request,
    }  # fmt: skip
    return {
        "schema": 1,
        "cell": key("cell", requested),
        "release": None if clean else key("release", [poisoner, seed]),
        "request": requested,
        "components": {"victim": component("resnet18")},
        "label_access": access, "oracle": oracle, "granularity": "sample",
        "data": {"train": "a" * 64, "test": "b" * 64, "test_images": 1000},
        "numerics": {"dtype": "float32", "threads": 1, "deterministic": True},
        "environment": {"device": "cpu", "processor": "some", "versions": {"torch": "2.4.0"}},
        "status": "ok", "epochs": 8, "history": [], "budget": {}, "cost": {},
        "metrics": {"test_accuracy": float(accuracy), "chance": 10.0, "train_accuracy": 99.0},
    }  # fmt: skip


def component(name: str, **params: Any) -> dict[str, Any]:
    """A component as records state it."""
    return {"name": name, "version": 1, "params": params, "distribution": "ucbench", "distribution_version": "0.1.0"}


def failed(record: Record) -> Record:
    """The record of the same cell, had it failed."""
    rest = {name: value for name, value in record.items() if name not in ("metrics", "history", "budget", "cost")}
    return {**rest, "status": "failed", "error": {"type": "ValueError", "text": "no"}}


def elsewhere(record: Record, dtype: str = "bfloat16", train: str = "a" * 64) -> Record:
    """The record of the same cell, made with other numerics or on other images."""
    changed = {"numerics": {**record["numerics"], "dtype": dtype}, "data": {**record["data"], "train": train}}
    return {**record, **changed, "cell": key("cell", [record["cell"], dtype, train])}


def rows_of(accuracies: Mapping[str, Iterable[float]], defense: str = "none", **request: Any) -> list[Record]:
    """Records of poisoners, whose accuracies are those of the seeds from 0."""
    return [
        record(poisoner, seed, accuracy, defense, **request)
        for poisoner, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def judging(**request: Any) -> list[Record]:
    """Records by which a setting passes the gate, beside clean rows of some 90 %."""
    return [
        *rows_of({"sham": [89.0 + seed % 2 for seed in range(4)]}, **request),
        *rows_of({"positive": [12.0 + seed % 2 for seed in range(4)]}, access="full", oracle=True, **request),
        *rows_of({"rand-class:pattern=sign": [11.0 + seed % 2 for seed in range(4)]}, access="full", **request),
    ]


def folder(path: Path, records: Iterable[Record]) -> Path:
    """A folder with these records."""
    (path / "records").mkdir(parents=True)
    for one in records:
        (path / "records" / f"{one['cell']}.json").write_text(json.dumps(one), encoding="utf-8")
    return path
