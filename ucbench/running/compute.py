"""Computing one cell and its record: what executors call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ucbench.errors import StoreError, type_and_text
from ucbench.numerics import environment
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.results.records import SCHEMA, Record
from ucbench.running.evaluate import evaluate
from ucbench.running.measuring import MetricValues, measure, measure_apart
from ucbench.running.metric_values import metric_key, stored_values, training_of, with_metrics, with_values
from ucbench.running.observing import epoch_observer
from ucbench.running.stored_victims import keep
from ucbench.running.tasks import Task, facts, title
from ucbench.session import Session
from ucbench.store.untrusted import only_text

_log = logging.getLogger(__name__)

#: Key of a record that could not be stored; its value says why. It is in no file.
UNSTORED = "unstored"


def compute(task: Task, session: Session) -> Record:
    """Compute the cell, or what is requested of it, under its lock: a second process waits instead of repeating it.

    If the store fails once the cell is trained, the record has the entry :data:`UNSTORED`, with which the
    run ends after it has written the record.

    Every exception but an interruption and a failure of the store becomes a record of status ``failed``.

    Raises:
        StoreError: if the store fails before.
    """
    cell = task.cell
    try:
        with session.store.making("cell", task.key):
            stored = None if task.force else session.store.get("cell", task.key)
            record = _train(task, session) if stored is None else _add_missing(dict(stored.meta), task, session)
        return {**record, "request": cell.describe()}
    except (KeyboardInterrupt, StoreError):
        raise
    except BaseException as error:
        place = cell.dataset.registry.place_of(error)
        said = f"failed: {title(cell)}: {type(error).__name__}: {error}"
        session.progress.say(f"{said} ({place})" if place else said)
        _log.debug("Where it was raised:", exc_info=error)
        return failed(task, session, *type_and_text(error), place)


def _add_missing(record: Record, task: Task, session: Session) -> Record:
    """The record in the store with the metrics that it lacks: it may be older than the request for them."""
    missing = _missing(record, task, session)
    values = measure(task, session, missing) if missing else {}
    if values is None:  # one reads the victim, which was not kept
        return _train(task, session, record)
    _store_values(values, record, task, session)
    return _complete(record, task, session)


def _train(task: Task, session: Session, earlier: Record | None = None) -> Record:
    """Train the cell, measure its metrics, store both.

    Args:
        earlier: the record in the store that lacks a metric of the victim. If the training is equal, it stays and gets
            what it lacks. By other hardware or libraries it may differ: then its metrics are of another victim.
    """
    cell = task.cell
    result = evaluate(cell, session, epoch_observer(task, session) if earlier is None else None)
    new: Record = {**_head(task, session, result.trainers), "status": "ok", **only_text(result.body)}
    same = earlier if earlier is not None and training_of(earlier) == training_of(new) else None
    values: MetricValues = {}
    try:
        wanted = cell.metrics if same is None else _missing(same, task, session)
        values, metric_error = measure_apart(wanted, result.sets, cell, session, result.trained)
        if cell.keep_victim:  # where it cannot be stored, the record at least has what was measured
            keep(result.trained, task, session)
        if metric_error is not None and same is None and (task.force or earlier is not None):
            raise metric_error  # what is stored of earlier stays
        _store_values(values, new, task, session)  # before the record, since they are of this training alone
        record = same or _store_record(new, task, session)
        if metric_error is not None:  # the training is stored: without the metric, it is not needed again
            raise metric_error
        if earlier is not None and same is None:
            session.progress.say(f"{title(cell)}: trained again for a metric, with other results than before.")
        return _complete(record, task, session)
    except StoreError as error:
        for metric in cell.metrics:
            if str(metric) in values:
                new = with_values(new, task.key, metric, values[str(metric)])
        return {**new, UNSTORED: str(error)}


def failed(task: Task, session: Session, kind: str, text: str, place: str = "") -> Record:
    """The record of a cell that could not be computed, with type and text of the error.

    Args:
        place: the line of a plugin that led to it, as ``stripes.py, line 12``.
    """
    error = {"type": kind, "text": only_text(text), **({"place": only_text(place)} if place else {})}
    return {**_head(task, session), "status": "failed", "error": error}


def _missing(record: Record, task: Task, session: Session) -> list[Component[MetricSpec]]:
    """The requested metrics that have no value in the store for this training."""
    keys = [(metric, metric_key(task.key, metric)) for metric in task.cell.metrics]
    return [metric for metric, identity in keys if stored_values(record, identity, session) is None]


def _store_record(record: Record, task: Task, session: Session) -> Record:
    session.store.discard("cell", task.key)
    return dict(session.store.put("cell", task.key, {}, record).meta)


def _store_values(values: MetricValues, record: Record, task: Task, session: Session) -> None:
    for metric in task.cell.metrics:
        if str(metric) in values:
            identity = metric_key(task.key, metric)
            session.store.discard("metric", identity)  # it may be of an earlier training
            meta = {"values": values[str(metric)], "training": training_of(record)}
            session.store.put("metric", identity, {}, meta)


def _complete(record: Record, task: Task, session: Session) -> Record:
    """The record with all requested metrics, which are in the store."""
    complete = with_metrics(record, task.cell, task.key, session)
    assert complete is not None
    return complete


def _head(task: Task, session: Session, trainers: Mapping[str, Any] | None = None) -> Record:
    """The part of a record that does not depend on success, with the versions of trainers outside this process."""
    here = environment(session.numerics) | ({"trainers": trainers} if trainers else {})
    return {"schema": SCHEMA, **facts(task, session), "environment": only_text(here)}
