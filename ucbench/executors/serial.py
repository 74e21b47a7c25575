"""One cell after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.computing import compute
from ucbench.executors.base import Landed
from ucbench.params import Params
from ucbench.tasks import Task, title
from ucbench.workbench import Workbench


class Serial:
    """Computes tasks in their order."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], bench: Workbench, landed: Landed) -> None:
        """As :meth:`ucbench.executors.base.Executor.run`."""
        for number, task in enumerate(tasks, 1):
            bench.progress.say(f"[{number}/{len(tasks)}] {title(task.cell)}")
            landed(task, compute(task, bench))
