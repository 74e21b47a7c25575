"""The contract of executors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ucbench.errors import UcbenchError
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ExecutorSpec
from ucbench.progress import Silent
from ucbench.results.records import Record
from ucbench.running.executors.serial import Executor, Serial
from ucbench.running.tasks import Task, task_of
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells
from ucbench.testing.rules import Rule, RuleError
from ucbench.testing.samples import NUMERICS
from ucbench.testing.subject import RUNS, Subject, subject_of, told

ONCE = Rule(
    "once",
    "on_done must be called once for every task",
    "Call on_done(task, record) in the calling process for every task that run() was given, whatever became of it.",
)
FAILURES = Rule(
    "failures",
    "a task that fails must have a record that says failed, with the reason",
    "Take ucbench.running.executors.compute(task, bench), whose records say so, or ucbench.running.executors.failed for what goes "
    "wrong outside of it; the other tasks go on.",
)
SAME_RECORDS = Rule(
    "same-records",
    "records must be those of cells computed one after another",
    "Compute with the arithmetic of bench.numerics (device, dtype, threads) on a store at bench.store.root, and hand "
    "records on unchanged.",
)
RULES = (RUNS, ONCE, FAILURES, SAME_RECORDS)


def check_executor(executor: Component[Any] | Executor, *, spec: ExecutorSpec | None = None) -> None:
    """Check an executor: every task is done once, with the record it would have by itself, and failures stay their own.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(executor, spec, ExecutorSpec)
    with subject.apart():
        alone = _run(Serial())
        made = subject.build()
        try:
            done = _run(made)
        except UcbenchError:
            raise
        except Exception as error:
            raise RuleError(subject.label, RUNS.said("run() failed"), told(error)) from error
        subject.require(True, RUNS, "")
        names = [name for name, _ in done]
        with subject.apart():
            subject.require(
                sorted(names) == sorted(name for name, _ in alone),
                ONCE,
                f"Of {len(alone)} tasks {len(set(names))} were reported, {len(names)} times in all",
            )
        expected = dict(alone)
        for name, found in done:
            if name in expected:
                with subject.apart():
                    _check_record(subject, expected[name], found)


def _check_record(subject: Subject[ExecutorSpec], expected: Record, found: Record) -> None:
    if expected["status"] == "failed":
        subject.require(
            found["status"] == "failed" and "it cannot be done" in found["error"]["text"],
            FAILURES,
            f"Its record says {found['status']}",
        )
        return
    one, other = (_without_costs(record) for record in (expected, found))
    differing = sorted(name for name in one | other if one.get(name) != other.get(name))
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
