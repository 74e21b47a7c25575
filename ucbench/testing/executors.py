"""The contract of executors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ExecutorSpec
from ucbench.progress import Silent
from ucbench.results.records import Record
from ucbench.running.executors.contract import Executor
from ucbench.running.executors.serial import Serial
from ucbench.running.tasks import Task, task_of
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells
from ucbench.testing.rules import Rule
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import RUNS, Subject, subject_of

ONCE = Rule(
    "once",
    "on_done must be called once for every task",
    "Call on_done(task, record) in the calling process for every task of run(), also for those that fail.",
)
FAILURES = Rule(
    "failures",
    "a task that fails must have a record of status failed, with the reason",
    "Call ucbench.compute(task, session), which returns such records, or ucbench.failed for errors outside of it; the "
    "other tasks go on.",
)
SAME_RECORDS = Rule(
    "same-records",
    "records must equal those of cells computed one after another",
    "Compute with session.numerics (device, dtype, threads) and a store at session.store.root, and do not change "
    "records.",
)
RULES = (RUNS, ONCE, FAILURES, SAME_RECORDS)


def check_executor(executor: Component[Any] | Executor, *, spec: ExecutorSpec | None = None) -> None:
    """Check an executor: every task is done once, has the same record as alone, and does not fail with another.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(executor, spec, ExecutorSpec)
    with subject.isolated():
        alone = _run(Serial())
        component = subject.build()
        with subject.running("run()"):
            done = _run(component)
        subject.require(True, RUNS, "")
        names = [name for name, _ in done]
        with subject.isolated():
            subject.require(
                sorted(names) == sorted(name for name, _ in alone),
                ONCE,
                f"Of {len(alone)} tasks {len(set(names))} were reported, {len(names)} times in all",
            )
        expected = dict(alone)
        for name, record in done:
            if name in expected:
                with subject.isolated():
                    _check_record(subject, expected[name], record)


def _check_record(subject: Subject[ExecutorSpec], expected: Record, record: Record) -> None:
    if expected["status"] == "failed":
        subject.require(
            record["status"] == "failed" and "it cannot be done" in record["error"]["text"],
            FAILURES,
            f"The status is {record['status']}",
        )
        return
    alone, together = _without_costs(expected), _without_costs(record)
    differing = sorted(name for name in alone | together if alone.get(name) != together.get(name))
    subject.require(
        not differing,
        SAME_RECORDS,
        f"They differ in {', '.join(differing)} for {expected['request']['poisoner']}",
    )


def _without_costs(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("cost", "environment")}


def _run(executor: Any) -> list[tuple[str, Record]]:
    done: list[tuple[str, Record]] = []
    with tempfile.TemporaryDirectory() as home:
        session = Session(Store(Path(home)), NUMERICS, Silent())

        def note(task: Task, record: Record) -> None:
            done.append((task.key, record))

        executor.run([task_of(cell, session) for cell in small_cells("spots", "positive", "failing")], session, note)
    return done
