"""Runs cells: from the store where they are done, else computed by an executor, recorded and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ucbench.matrix.cell import Cell
from ucbench.plugins.manager import notify
from ucbench.plugins.specs import CellEvent
from ucbench.results.records import Record, write_record
from ucbench.running.estimate import TimeLeft
from ucbench.running.executors.serial import Executor, Serial
from ucbench.running.tasks import Task, finished, task_of, title
from ucbench.session import Session

#: What is computed again: cells without any record, those that failed too, or all.
Rerun = Literal["missing", "failed", "all"]


def run_cells(
    cells: Sequence[Cell],
    session: Session,
    *,
    out: Path | None = None,
    executor: Executor | None = None,
    rerun: Rerun = "failed",
) -> list[Record]:
    """Run every cell and return their records in the same order.

    A cell that fails gets a record with ``status: failed`` and the error; the others go on. Failed records are written
    to ``out`` but not kept in the store, so that the next run tries again unless ``rerun`` says otherwise. An
    interruption leaves finished work in place. What was done before is told in the words of this request, or its rows
    would not meet their references.

    Args:
        executor: computes what is not done; one cell after another in this process by default.
        rerun: ``missing`` computes only what has no record, ``failed`` also what failed, and ``all`` every cell again,
            on the releases and surrogates in the store; numbers that come out otherwise than before are told, and a
            cell that fails now keeps its former record in ``out``.

    Raises:
        DataError: if a data set cannot be read, before anything is computed.
    """
    tasks = [task_of(cell, session) for cell in cells]
    records: dict[str, Record] = {}
    before: dict[str, Record] = {}
    missing = []
    for task in tasks:
        done = finished(task, session, out, failed_too=rerun == "missing")
        if done is None:
            missing.append(task)
        elif rerun == "all":
            before[task.key] = done
            missing.append(replace(task, force=True))
        else:
            records[task.key] = {**done, "request": task.cell.describe()}
            if out is not None:
                write_record(out, records[task.key])

    time_left = TimeLeft(missing, session)

    def on_done(task: Task, record: Record) -> None:
        records[task.key] = record
        time_left.on_done(task)
        if record["status"] != "ok" and task.key in before:
            session.progress.say(f"{title(task.cell)}: what was measured before stands.")
        elif out is not None:
            write_record(out, record)
        if changed := _changed(before.get(task.key), record):
            session.progress.say(f"{title(task.cell)}: not as before: {changed}")
        hook = "ucbench_cell_finished" if record["status"] == "ok" else "ucbench_cell_failed"
        for problem in notify(hook, CellEvent(record, str(out) if out else None), session.registry.plugins):
            session.progress.say(problem)

    if missing and records:
        session.progress.say(f"{len(tasks) - len(missing)} of {len(tasks)} cells are done already.")
    if missing:
        (executor or Serial()).run(missing, session, on_done)
    return [records[task.key] for task in tasks]


def _changed(before: Record | None, now: Record) -> str:
    """Which metrics came out otherwise; empty if none did, or there is nothing to compare."""
    if before is None or now["status"] != "ok":
        return ""
    old, new = before["metrics"], now["metrics"]
    return ", ".join(
        f"{name} {old[name]} -> {new[name]}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]
    )
