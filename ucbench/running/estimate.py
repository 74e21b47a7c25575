"""What a run's work is expected to take, and how much of it is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from ucbench.progress import duration
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.store.timings import crafting_work, training_work

#: Seconds between two words on what is left.
EVERY = 30.0


def predicted(task: Task, session: Session, *, crafts: bool) -> float | None:
    """Seconds that a task will take by what such work took on this machine before; None if it never did.

    Args:
        crafts: whether the task's release has to be made too.
    """
    cell = task.cell
    train = session.data(cell).train
    seconds = session.costs.predict(training_work(cell, len(train), train.size, session.numerics))
    if not crafts or seconds is None:
        return seconds
    part = session.protected(cell).images
    craft = session.costs.predict(crafting_work(cell, len(part), part.size, session.numerics))
    return None if craft is None else seconds + craft


class Estimate:
    """Tells now and then how many cells are done and when the rest will be.

    The pace is that of this run, whoever computes it: predictions only say how much of the work each cell is, and a
    cell of a kind never timed counts as the mean of the others.
    """

    def __init__(self, tasks: Sequence[Task], session: Session) -> None:
        self._shelf = session
        crafted: set[str | None] = {None}
        told: dict[str, float | None] = {}
        for task in tasks:
            crafts = task.release_key not in crafted and session.store.get("release", task.release_key or "") is None
            crafted.add(task.release_key)
            told[task.key] = predicted(task, session, crafts=crafts)
        known = [seconds for seconds in told.values() if seconds is not None]
        usual = statistics.fmean(known) if known else 1.0
        self._left = {key: usual if seconds is None else seconds for key, seconds in told.items()}
        self._count, self._work = len(self._left), sum(self._left.values())
        self._started = self._spoke = time.monotonic()

    def on_done(self, task: Task) -> None:
        """Hear that a task is done."""
        self._left.pop(task.key, None)
        now = time.monotonic()
        left = sum(self._left.values())
        if not self._left or left >= self._work or now - self._spoke < EVERY:
            return
        self._spoke = now
        seconds = (now - self._started) * left / (self._work - left)
        self._shelf.progress.say(
            f"{self._count - len(self._left)} of {self._count} cells are done, about {duration(seconds)} left."
        )
