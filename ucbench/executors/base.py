"""The contract of executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ucbench.records import Record
from ucbench.tasks import Task
from ucbench.workbench import Workbench

#: Told of every task as soon as its record is there.
Landed = Callable[[Task, Record], None]


class Executor(Protocol):
    """``Class(params)``; computes tasks, in any order and anywhere, on a workbench's store and with its arithmetic."""

    def run(self, tasks: Sequence[Task], bench: Workbench, landed: Landed) -> None:
        """Compute every task and call ``landed`` for each, in this process, once.

        A task that fails, whatever the reason, lands with a record of status ``failed``; the others go on. An
        interruption passes through, with nothing half-written.
        """
