"""The default executor: one cell after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.plugins.params import Params
from ucbench.running.compute import compute
from ucbench.running.executors.contract import OnDone
from ucbench.running.tasks import Task, title
from ucbench.session import Session


class Serial:
    """Computes tasks in order."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """As :meth:`ucbench.running.executors.contract.Executor.run`."""
        for task in tasks:
            session.progress.cell(title(task.cell))
            on_done(task, compute(task, session))
