"""One cell's work: whether it is done, doing it, and the record it leaves. What executors run."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ucbench.environment import environment
from ucbench.errors import UcbenchError
from ucbench.exploit import ask, columns, exploit
from ucbench.identity import key as key_of
from ucbench.matrix import CORE_VERSION, Cell
from ucbench.records import SCHEMA, Record, read_record, record_path
from ucbench.registry import Resolved
from ucbench.workbench import Workbench


@dataclass(frozen=True)
class Task:
    """A cell to compute, with the keys of its record and of its release (None for the clean reference).

    ``afresh`` has it computed though it is in the store; the work it shares with others is not done again.
    """

    cell: Cell
    key: str
    release_key: str | None
    afresh: bool = False


def task_of(cell: Cell, bench: Workbench) -> Task:
    """The cell with its keys; reads its data set."""
    data = bench.data(cell)
    release_key = cell.release_key(bench.protected(cell).images.fingerprint, bench.numerics)
    key = cell.key(release_key, data.train.fingerprint, data.test.fingerprint, bench.numerics)
    return Task(cell, key, release_key)


def finished(task: Task, bench: Workbench, out: Path | None, *, failed_too: bool = False) -> Record | None:
    """The record of a cell that is done: in the result folder, even with an empty store, or in the store.

    One key can be asked for in several ways (the same pictures by two names); the record answers in the words asked.
    One that lacks a metric asked for is not done. With ``failed_too``, a failure in the result folder counts as done.
    """
    cell, key = task.cell, task.key
    found = []
    if out is not None and record_path(out, key).exists():
        record = read_record(record_path(out, key))
        if record["status"] == "ok":
            found.append(record)
        elif failed_too:
            return {**record, "request": cell.describe()}
    stored = bench.store.get("cell", key)
    if stored is not None:
        found.append(dict(stored.meta))
    for record in found:
        complete = _with_metrics(record, cell, key, bench)
        if complete is not None:
            return _as_asked(complete, cell)
    return None


def _with_metrics(record: Record, cell: Cell, key: str, bench: Workbench) -> Record | None:
    """The record with every metric asked for, from itself or from the store; None if one was never measured.

    What a metric of that name measured in an earlier version is not what is asked for.
    """
    metrics, measured_by = dict(record["metrics"]), dict(record.get("measured_by", {}))
    for metric in cell.metrics:
        identity = _metric_key(key, metric)
        if measured_by.get(str(metric)) == identity:
            continue
        stored = bench.store.get("metric", identity)
        if stored is None:
            return None
        metrics = {name: value for name, value in metrics.items() if not name.startswith(f"{metric}.")}
        metrics |= columns(str(metric), stored.meta["values"])
        measured_by[str(metric)] = identity
    return {**record, "metrics": metrics, **({"measured_by": measured_by} if measured_by else {})}


def _metric_key(cell_key: str, metric: Resolved) -> str:
    return key_of("metric", {"core": CORE_VERSION, "cell": cell_key, "metric": metric.identity()})


def _as_asked(record: Record, cell: Cell) -> Record:
    dataset = {**record["components"]["dataset"], **cell.dataset.identity()}
    return {**record, "request": cell.describe(), "components": {**record["components"], "dataset": dataset}}


def title(cell: Cell) -> str:
    """The cell in one line of a log."""
    values = cell.describe()
    epsilon = "" if values["epsilon"] is None else f" {values['norm']} {values['epsilon']:g}"
    defense = "" if values["defense"] == "none" else f" + {values['defense']}"
    seeds = (
        f"seed {cell.train_seed}"
        if cell.craft.seed in (None, cell.train_seed)
        else (f"craft seed {cell.craft.seed}, train seed {cell.train_seed}")
    )
    return f"{values['dataset']} | {cell.craft.poisoner}{epsilon} | {values['victim']}{defense} | {seeds}"


def craft(task: Task, bench: Workbench) -> tuple[str, str] | None:
    """Make the task's release, so that cells which share it find it; or the type and text of what went wrong."""
    try:
        bench.release(task.cell)
    except (Exception, SystemExit) as error:
        return _told(error)
    return None


def compute(task: Task, bench: Workbench) -> Record:
    """Compute the cell under its lock, so that a second process waits for it instead of doing it again.

    What it raises becomes a record of status ``failed``, an interruption excepted.
    """
    cell, key = task.cell, task.key

    def measure() -> tuple[dict[str, Any], Record]:
        findings = exploit(cell, bench, cell.metrics)
        if task.afresh:  # Not before: what was there stays unless this came to an end.
            for metric in cell.metrics:
                bench.store.discard("metric", _metric_key(key, metric))
        _keep(findings.asked, cell, key, bench)
        return {}, {**_head(task, bench), "status": "ok", **findings.body}

    try:
        if task.afresh:
            arrays, meta = measure()
            bench.store.discard("cell", key)
            stored = bench.store.put("cell", key, arrays, meta)
        else:
            stored, _ = bench.store.get_or_make("cell", key, measure)
        # A cell may have been done before a metric was asked of it.
        missing = [metric for metric in cell.metrics if bench.store.get("metric", _metric_key(key, metric)) is None]
        if missing:
            _keep(ask(cell, bench, missing), cell, key, bench)
        record = _with_metrics(dict(stored.meta), cell, key, bench)
        assert record is not None
        return {**record, "request": cell.describe()}
    except (Exception, SystemExit) as error:
        bench.progress.say(f"failed: {title(cell)}: {type(error).__name__}: {error}")
        return failed(task, bench, *_told(error))


def failed(task: Task, bench: Workbench, kind: str, text: str) -> Record:
    """The record of a cell that could not be computed, with the type and the text of the error."""
    return {**_head(task, bench), "status": "failed", "error": {"type": kind, "text": text}}


def _told(error: BaseException) -> tuple[str, str]:
    return type(error).__name__, str(error) if isinstance(error, UcbenchError) else traceback.format_exc()


def _keep(values: Mapping[str, Mapping[str, float | None]], cell: Cell, key: str, bench: Workbench) -> None:
    for metric in cell.metrics:
        if str(metric) in values:
            bench.store.put("metric", _metric_key(key, metric), {}, {"values": values[str(metric)]})


def _head(task: Task, bench: Workbench) -> Record:
    """What a record says whether or not the cell succeeded."""
    cell = task.cell
    data = bench.data(cell)
    craft = cell.craft
    parts: dict[str, Resolved | None] = {
        "dataset": cell.dataset,
        "poisoner": craft.poisoner,
        "surrogate": craft.surrogate,
        "labeling": cell.labeling,
        "victim": cell.victim,
        **{f"defense-{place}": part for place, part in enumerate(cell.defense, 1)},
    }
    record = craft.made_by
    inherited = getattr(craft.surrogate.record, "label_access", "none") if craft.surrogate else "none"
    return {
        "schema": SCHEMA,
        "cell": task.key,
        "release": task.release_key,
        "request": cell.describe(),
        "components": {
            kind: {
                **part.identity(),
                "distribution": part.origin.distribution,
                "distribution_version": part.origin.version,
            }
            for kind, part in parts.items()
            if part is not None
        },
        "label_access": "full" if "full" in (inherited, craft.labels.access) else "none",
        "oracle": record.oracle,
        "granularity": record.granularity,
        "data": {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "train_images": len(data.train),
            "test_images": len(data.test),
            "classes": len(data.train.classes),
            "size": list(data.train.size),
            "note": data.note,
        },
        "numerics": bench.numerics.identity(),
        "environment": environment(bench.numerics),
    }
