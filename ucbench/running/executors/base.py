"""The contract of executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ucbench.results.records import Record
from ucbench.running.tasks import Task
from ucbench.session import Session

#: Told of every task as soon as its record is there.
OnDone = Callable[[Task, Record], None]


class Executor(Protocol):
    """``Class(params)``; computes tasks, in any order and anywhere, on a workbench's store and with its arithmetic."""

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """Compute every task and call ``landed`` for each, in this process, once.

        A task that fails, whatever the reason, lands with a record of status ``failed``; the others go on. An
        interruption passes through, with nothing half-written.
        """
