"""Runs cells: from the store where they are done, else computed by an executor, recorded and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ucbench.components import CellEvent
from ucbench.executors import Executor, Serial
from ucbench.matrix import Cell
from ucbench.plugins import notify
from ucbench.records import Record, write_record
from ucbench.registry import Registry
from ucbench.tasks import Task, finished, task_of
from ucbench.workbench import Workbench


def run_cells(
    cells: Sequence[Cell],
    bench: Workbench,
    registry: Registry,
    *,
    out: Path | None = None,
    executor: Executor | None = None,
) -> list[Record]:
    """Run every cell and return their records in the same order.

    A cell that fails gets a record with ``status: failed`` and the error; the others go on. Failed records are written
    to ``out`` but not kept in the store, so that the next run tries again. An interruption leaves finished work in
    place. What was done before is told in the words of this request, or its rows would not meet their references.

    Args:
        executor: computes what is not done; one cell after another in this process by default.

    Raises:
        DataError: if a data set cannot be read, before anything is computed.
    """
    tasks = [task_of(cell, bench) for cell in cells]
    records: dict[str, Record] = {}
    missing = []
    for task in tasks:
        done = finished(task, bench, out)
        if done is None:
            missing.append(task)
        else:
            records[task.key] = {**done, "request": task.cell.describe()}
            if out is not None:
                write_record(out, records[task.key])

    def landed(task: Task, record: Record) -> None:
        records[task.key] = record
        if out is not None:
            write_record(out, record)
        hook = "ucbench_cell_finished" if record["status"] == "ok" else "ucbench_cell_failed"
        for problem in notify(hook, CellEvent(record, str(out) if out else None), registry.plugins):
            bench.progress.say(problem)

    if missing and records:
        bench.progress.say(f"{len(tasks) - len(missing)} of {len(tasks)} cells are done already.")
    if missing:
        (executor or Serial()).run(missing, bench, landed)
    return [records[task.key] for task in tasks]
