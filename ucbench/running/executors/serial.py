"""One cell after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.plugins.params import Params
from ucbench.running.compute import compute
from ucbench.running.executors.base import OnDone
from ucbench.running.tasks import Task, title
from ucbench.session import Session


class Serial:
    """Computes tasks in their order."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """As :meth:`ucbench.running.executors.base.Executor.run`."""
        for number, task in enumerate(tasks, 1):
            session.progress.say(f"[{number}/{len(tasks)}] {title(task.cell)}")
            on_done(task, compute(task, session))
