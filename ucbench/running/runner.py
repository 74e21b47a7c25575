"""Runs cells: takes their records from the store, or has an executor compute them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ucbench.errors import StoreError
from ucbench.matrix.cell import Cell
from ucbench.plugins.specs import CellEvent
from ucbench.results.records import Record, write_record
from ucbench.running.compute import UNSTORED
from ucbench.running.estimate import TimeLeft
from ucbench.running.executors.contract import Executor
from ucbench.running.executors.serial import Serial
from ucbench.running.interruption import interruptible
from ucbench.running.observing import observed
from ucbench.running.preflight import check_components, check_defenses, check_space
from ucbench.running.tasks import (
    Rerun,
    Task,
    as_requested,
    distinct,
    finished,
    other_threads,
    succeeded,
    task_of,
    title,
    warn_of_threads,
    with_recorded_metrics,
)
from ucbench.session import Session
from ucbench.store.files import sweep_drafts

_log = logging.getLogger(__name__)


def run_cells(
    cells: Sequence[Cell],
    session: Session,
    *,
    out: Path | None = None,
    executor: Executor | None = None,
    rerun: Rerun = "failed",
) -> list[Record]:
    """Run every cell and return their records in the same order. Cells with one key are computed once.

    A cell that fails gets a record with ``status: failed`` and the error; the others go on. Failed records are written
    to ``out`` but not to the store, so that the next run tries again unless ``rerun`` says otherwise. They replace no
    record of success, which stays where only a new metric fails. A record in ``out`` keeps metrics that this run does
    not ask for, except with ``all``. An interruption leaves finished work in place. Records of earlier runs get this
    request, so that their rows match their references.

    Args:
        executor: computes what is not done; by default one cell after another in this process.
        rerun: ``missing`` computes cells without a record, ``failed`` also those that failed, and ``all`` every cell
            again, with the releases and surrogates in the store. Metrics that differ from before are logged as errors.

    Raises:
        DataError: if a data set cannot be read, before anything is computed.
        UsageError: if a defense of a cell to compute refuses its parameters or its chain, or its victim the size of the
            images, or a component their number, or a library a name, or its poisoner leaked pairs to a defense that
            needs them, before anything is computed.
        StoreError: if the store cannot be used or has no room for the releases, or a record cannot be written.
    """
    _sweep(session, out)
    session.failed_crafts.clear()
    requested = [task_of(cell, session) for cell in cells]
    tasks = distinct(requested)
    records, before, missing = _sorted_out(tasks, session, out, rerun)
    check_components(missing, session)
    check_defenses(missing)
    check_space(missing, session)
    time_left = TimeLeft(missing, session)
    differing: set[str] = set()

    def on_done(task: Task, record: Record) -> None:
        unstored = record.get(UNSTORED)
        record = {name: value for name, value in record.items() if name != UNSTORED}
        if record["status"] == "ok" and out is not None and rerun != "all":  # which takes nothing from before
            record = with_recorded_metrics(record, task, session, out)
        records[task.key] = record
        failed = record["status"] != "ok"
        # The store's record stays in any case; a folder that lacks it gets the failure.
        if failed and (task.key in before if out is None else succeeded(task, session, out)):
            session.progress.say(f"{title(task.cell)}: the earlier record stays.")
        elif out is not None:
            write_record(out, record)
        if changed := _changed(before.get(task.key), record):
            differing.add(task.key)
            _log.error("%s: differs from before: %s", title(task.cell), changed)
        if unstored is not None:
            raise StoreError(unstored)
        time_left.on_done(task, record)
        count()
        hook = "ucbench_cell_finished" if record["status"] == "ok" else "ucbench_cell_failed"
        for problem in observed(hook, CellEvent(record, str(out) if out else None), session):
            session.progress.say(problem)

    if records:
        session.progress.say(f"{len(records)} of {len(tasks)} cells from records.")
    warn_of_threads(other_threads(tasks, missing, session, out))
    if missing:
        count = session.progress.cells(len(missing), time_left.text)
        with interruptible():
            (executor or Serial()).run(missing, session, on_done)
        if failed := sum(records[task.key]["status"] != "ok" for task in missing):
            session.progress.say(_failures(failed, len(missing)))
    if before:
        equal = sum(records[key]["status"] == "ok" and key not in differing for key in before)
        session.progress.say(f"{equal} of {len(before)} cells have the metrics of before.")
    return [as_requested(records[task.key], task.cell) for task in requested]


def _sorted_out(
    tasks: Iterable[Task], session: Session, out: Path | None, rerun: Rerun
) -> tuple[dict[str, Record], dict[str, Record], list[Task]]:
    """The records of what is done, which ``out`` then has; the earlier records of what is done again; what to do."""
    records: dict[str, Record] = {}
    before: dict[str, Record] = {}
    missing = []
    for task in tasks:
        done = finished(task, session, out, failed_too=rerun == "missing")
        if done is None and rerun == "all":  # it may lack only a metric, which must not spare it the training
            done = finished(replace(task, cell=replace(task.cell, metrics=())), session, out)
        if done is None:
            missing.append(task)
        elif rerun == "all":
            before[task.key] = done.record
            missing.append(replace(task, force=True))
        else:
            records[task.key] = done.record
            if out is not None and not done.written:
                write_record(out, done.record)
    return records, before, missing


def _failures(failed: int, count: int) -> str:
    nothing = " Nothing was measured." if failed == count else ""
    return f"{failed} of {count} cells failed; their records have the errors.{nothing}"


def _sweep(session: Session, out: Path | None) -> None:
    """Remove what killed runs left unfinished."""
    session.store.sweep_drafts()
    for folder in (out, out / "records", out / "sheets") if out is not None else ():
        sweep_drafts(folder)


def _changed(before: Record | None, now: Record) -> str:
    """The metrics that differ, as text; empty without a difference or an earlier record."""
    if before is None or now["status"] != "ok":
        return ""
    old, new = before["metrics"], now["metrics"]
    return ", ".join(
        f"{name} {old[name]} -> {new[name]}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]
    )
