"""Which work can be done next: releases before the cells that share them, and those cells close together."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ucbench.running.tasks import Task


@dataclass(frozen=True)
class Job:
    """What one worker does at a time: crafting a release that several cells wait for, or computing a cell."""

    kind: Literal["craft", "cell"]
    task: Task


class Schedule:
    """Hands out jobs. A release is crafted once, by one worker, while the others do something else.

    Args:
        tasks: in the order in which they should roughly be done.
        crafted: keys of the releases that are in the store already.
    """

    def __init__(self, tasks: Sequence[Task], crafted: Collection[str]) -> None:
        self._waiting: dict[str, list[Task]] = {}
        self._ready: deque[Job] = deque()
        for task in tasks:
            if task.release_key is None or task.release_key in crafted:
                self._ready.append(Job("cell", task))
            elif task.release_key in self._waiting:
                self._waiting[task.release_key].append(task)
            else:
                self._waiting[task.release_key] = [task]
                self._ready.append(Job("craft", task))

    def __bool__(self) -> bool:
        """Whether there is work that was not handed out, or that waits for some that was."""
        return bool(self._ready or self._waiting)

    def next(self) -> Job | None:
        """A job that can be done now; None if all that is left waits for what is being crafted."""
        return self._ready.popleft() if self._ready else None

    def again(self, job: Job) -> None:
        """Hand ``job`` out once more, before the others: whoever had it did not finish."""
        self._ready.appendleft(job)

    def crafted(self, job: Job) -> None:
        """A release is there: the cells that waited for it come next, while it is at hand."""
        assert job.task.release_key is not None
        for task in reversed(self._waiting.pop(job.task.release_key, [])):
            self._ready.appendleft(Job("cell", task))

    def given_up(self, job: Job) -> list[Task]:
        """A release cannot be had: the tasks that waited for it, which are not handed out any more."""
        assert job.task.release_key is not None
        return self._waiting.pop(job.task.release_key, [])
