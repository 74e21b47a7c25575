"""Computing one cell and its record: what executors call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ucbench.errors import StoreError, type_and_text
from ucbench.matrix.cell import Cell
from ucbench.numerics import environment
from ucbench.results.records import SCHEMA, Record
from ucbench.running.evaluate import Requested, evaluate
from ucbench.running.measuring import measure
from ucbench.running.metric_values import metric_key, stored_values, training_of, with_metrics, with_values
from ucbench.running.observing import epoch_observer
from ucbench.running.tasks import Task, facts, title
from ucbench.session import Session
from ucbench.store.untrusted import only_text

_log = logging.getLogger(__name__)

#: Key of a record that could not be stored; its value says why. It is in no file.
UNSTORED = "unstored"


def compute(task: Task, session: Session) -> Record:
    """Compute the cell, or what is requested of it, under its lock: a second process waits instead of repeating it.

    If the store fails once the cell is measured, the record has the entry :data:`UNSTORED`, with which the run ends
    after it has written the record.

    Every exception but an interruption and a failure of the store becomes a record of status ``failed``.

    Raises:
        StoreError: if the store fails before.
    """
    cell, key = task.cell, task.key
    made: Record | None = None
    metric_error: Exception | None = None

    def train(requested: Requested, on_epoch: Callable[[Mapping[str, Any], int], None] | None) -> Record:
        """What is stored of the cell; values of metrics are in the store before it, for this training alone."""
        nonlocal made, metric_error
        result = evaluate(cell, session, requested, on_epoch)
        metric_error = result.metric_error
        if task.force and metric_error is not None:  # what is stored of earlier stays
            raise metric_error
        trained: Record = {**_head(task, session, result.trainers), "status": "ok", **only_text(result.body)}
        made = trained
        for metric in cell.metrics:
            if str(metric) in result.metric_values:
                made = with_values(made, key, metric, result.metric_values[str(metric)])
        if result.store_error is not None:
            raise result.store_error
        _store(result.metric_values, trained, cell, key, session)
        return trained

    def stored(record: Record) -> Record:
        session.store.discard("cell", key)
        return dict(session.store.put("cell", key, {}, record).meta)

    try:
        with session.store.making("cell", key):
            earlier = None if task.force else session.store.get("cell", key)
            if earlier is not None:
                record = dict(earlier.meta)
            else:
                record = stored(train(cell.metrics, epoch_observer(task, session)))
            if metric_error is not None:  # the cell is stored: without the metric, it needs no training
                raise metric_error
            # The cell may be older than the request for a metric.
            missing = [part for part in cell.metrics if stored_values(record, metric_key(key, part), session) is None]
            values = measure(cell, session, missing) if missing else {}
            if values is not None:
                _store(values, record, cell, key, session)
            else:
                training = training_of(record)
                again = train(lambda now: missing if now == training else cell.metrics, None)
                if metric_error is not None:
                    raise metric_error
                if training_of(again) != training:  # other hardware or libraries: what was measured is of another
                    text = f"{title(cell)}: trained again for a metric, with other results than before."
                    session.progress.say(text)
                    record = stored(again)
            complete = with_metrics(record, cell, key, session)
        assert complete is not None
        return {**complete, "request": cell.describe()}
    except StoreError as error:
        if made is None:
            raise
        return {**made, UNSTORED: str(error)}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        place = cell.dataset.registry.place_of(error)
        said = f"failed: {title(cell)}: {type(error).__name__}: {error}"
        session.progress.say(f"{said} ({place})" if place else said)
        _log.debug("Where it was raised:", exc_info=error)
        return failed(task, session, *type_and_text(error), place)


def failed(task: Task, session: Session, kind: str, text: str, place: str = "") -> Record:
    """The record of a cell that could not be computed, with type and text of the error.

    Args:
        place: the line of a plugin that led to it, as ``stripes.py, line 12``.
    """
    error = {"type": kind, "text": only_text(text), **({"place": only_text(place)} if place else {})}
    return {**_head(task, session), "status": "failed", "error": error}


def _store(
    values: Mapping[str, Mapping[str, float | None]], record: Record, cell: Cell, key: str, session: Session
) -> None:
    for metric in cell.metrics:
        if str(metric) in values:
            identity = metric_key(key, metric)
            session.store.discard("metric", identity)  # it may be of an earlier training
            meta = {"values": values[str(metric)], "training": training_of(record)}
            session.store.put("metric", identity, {}, meta)


def _head(task: Task, session: Session, trainers: Mapping[str, Any] | None = None) -> Record:
    """The part of a record that does not depend on success, with the versions of trainers outside this process."""
    here = environment(session.numerics) | ({"trainers": trainers} if trainers else {})
    return {"schema": SCHEMA, **facts(task, session), "environment": only_text(here)}
