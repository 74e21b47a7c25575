"""Computing one cell and its record: what executors call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ucbench.errors import StoreError, type_and_text
from ucbench.matrix.cell import Cell
from ucbench.numerics import environment
from ucbench.results.records import SCHEMA, Record
from ucbench.running.evaluate import evaluate, measure
from ucbench.running.observing import epoch_observer
from ucbench.running.sets import release_of
from ucbench.running.tasks import Task, facts, metric_key, title, with_metrics, with_values
from ucbench.session import Session
from ucbench.store.untrusted import only_text

#: Key of a record that could not be stored; its value says why. It is in no file.
UNSTORED = "unstored"


def craft(task: Task, session: Session) -> None:
    """Craft the task's release into the store, for the cells that share it; errors pass through."""
    release_of(task.cell, session)


def compute(task: Task, session: Session) -> Record:
    """Compute the cell under its lock, so that a second process waits for it instead of repeating it.

    If the store fails once the cell is measured, the record has the entry :data:`UNSTORED`, with which the run ends
    after it has written the record.

    Every exception but an interruption and a failure of the store becomes a record of status ``failed``.

    Raises:
        StoreError: if the store fails before.
    """
    cell, key = task.cell, task.key
    made: Record | None = None
    metric_error: Exception | None = None

    def make() -> tuple[dict[str, Any], Record]:
        nonlocal made, metric_error
        result = evaluate(cell, session, cell.metrics, epoch_observer(task, session))
        metric_error = result.metric_error
        if task.force and metric_error is not None:  # what is stored of earlier stays
            raise metric_error
        head = {**_head(task, session, result.trainers), "status": "ok"}
        made = {**head, **only_text(result.body)}
        for metric in cell.metrics:
            if str(metric) in result.metric_values:
                made = with_values(made, key, metric, result.metric_values[str(metric)])
        if result.store_error is not None:
            raise result.store_error
        if task.force:  # not before the evaluation, which may fail: old values then stay
            for metric in cell.metrics:
                session.store.discard("metric", metric_key(key, metric))
        _store(result.metric_values, cell, key, session)
        return {}, {**head, **only_text(result.body)}

    try:
        if task.force:
            arrays, meta = make()
            session.store.discard("cell", key)
            stored = session.store.put("cell", key, arrays, meta)
        else:
            stored, _ = session.store.get_or_make("cell", key, make)
        if metric_error is not None:  # the cell is stored: without the metric, it needs no training
            raise metric_error
        # The cell may be older than the request for a metric.
        missing = [metric for metric in cell.metrics if session.store.get("metric", metric_key(key, metric)) is None]
        if missing:
            _store(measure(cell, session, missing), cell, key, session)
        record = with_metrics(dict(stored.meta), cell, key, session)
        assert record is not None
        return {**record, "request": cell.describe()}
    except StoreError as error:
        if made is None:
            raise
        return {**made, UNSTORED: str(error)}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        session.progress.say(f"failed: {title(cell)}: {type(error).__name__}: {error}")
        return failed(task, session, *type_and_text(error))


def failed(task: Task, session: Session, kind: str, text: str) -> Record:
    """The record of a cell that could not be computed, with type and text of the error."""
    return {**_head(task, session), "status": "failed", "error": {"type": kind, "text": only_text(text)}}


def _store(values: Mapping[str, Mapping[str, float | None]], cell: Cell, key: str, session: Session) -> None:
    for metric in cell.metrics:
        if str(metric) in values:
            session.store.put("metric", metric_key(key, metric), {}, {"values": values[str(metric)]})


def _head(task: Task, session: Session, trainers: Mapping[str, Any] | None = None) -> Record:
    """The part of a record that does not depend on success, with the versions of trainers outside this process."""
    here = environment(session.numerics) | ({"trainers": trainers} if trainers else {})
    return {"schema": SCHEMA, **facts(task, session), "environment": only_text(here)}
