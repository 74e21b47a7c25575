"""The contract of executors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ucbench.components import ExecutorRecord
from ucbench.executors import Executor, Serial
from ucbench.progress import Silent
from ucbench.records import Record
from ucbench.registry import Resolved
from ucbench.store import Store
from ucbench.tasks import Task, task_of
from ucbench.testing.cells import small_cells
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import Subject, subject_of
from ucbench.workbench import Workbench


def check_executor(executor: Resolved | Executor, *, record: ExecutorRecord | None = None) -> None:
    """Check an executor: every task lands once, with the record it would have by itself, and failures stay their own.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(executor, record, ExecutorRecord)
    alone = _run(Serial())
    landed = _run(subject.build())
    names = [name for name, _ in landed]
    subject.require(
        sorted(names) == sorted(name for name, _ in alone),
        "every task must land once",
        f"Of {len(alone)} tasks {len(set(names))} landed, {len(names)} times in all",
    )
    expected = dict(alone)
    for name, found in landed:
        _check_record(subject, expected[name], found)


def _check_record(subject: Subject[ExecutorRecord], expected: Record, found: Record) -> None:
    if expected["status"] == "failed":
        subject.require(
            found["status"] == "failed" and "it cannot be done" in found["error"]["text"],
            "a task that fails must land as failed, with the reason",
            f"It landed as {found['status']}",
        )
        return
    one, other = (_without_costs(record) for record in (expected, found))
    differing = sorted(name for name in one | other if one.get(name) != other.get(name))
    subject.require(
        not differing,
        "records must be those of cells computed one after another",
        f"They differ in {', '.join(differing)} for {expected['request']['poisoner']}",
    )


def _without_costs(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("cost", "environment")}


def _run(executor: Any) -> list[tuple[str, Record]]:
    landed: list[tuple[str, Record]] = []
    with tempfile.TemporaryDirectory() as home:
        bench = Workbench(Store(Path(home)), NUMERICS, Silent())

        def note(task: Task, record: Record) -> None:
            landed.append((task.key, record))

        executor.run([task_of(cell, bench) for cell in small_cells("spots", "positive", "failing")], bench, note)
    return landed
