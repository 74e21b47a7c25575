"""Computing one cell, and the record it leaves. What executors run."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from ucbench.environment import environment
from ucbench.errors import UcbenchError
from ucbench.exploit import ask, exploit
from ucbench.matrix import Cell
from ucbench.records import SCHEMA, Record
from ucbench.registry import Resolved
from ucbench.tasks import Task, metric_key, title, with_metrics
from ucbench.workbench import Workbench


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
                bench.store.discard("metric", metric_key(key, metric))
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
        missing = [metric for metric in cell.metrics if bench.store.get("metric", metric_key(key, metric)) is None]
        if missing:
            _keep(ask(cell, bench, missing), cell, key, bench)
        record = with_metrics(dict(stored.meta), cell, key, bench)
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
            bench.store.put("metric", metric_key(key, metric), {}, {"values": values[str(metric)]})


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
