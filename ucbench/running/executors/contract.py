"""The contract of executors. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ucbench.results.records import Record
from ucbench.running.tasks import Task
from ucbench.session import Session

#: Called with each task and its record as soon as the record exists.
OnDone = Callable[[Task, Record], None]


class Executor(Protocol):
    """``Class(params)``; computes tasks in any order, anywhere, with the store and numerics of ``session``."""

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """Compute every task and call ``on_done`` once for each, in this process.

        A task that fails, for whatever reason, gets a record of status ``failed``; the others go on. An interruption
        passes through and leaves no incomplete files. So does a failure of the store, which every other task would
        meet too.
        """
