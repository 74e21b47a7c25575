"""Estimates: kinds of work, their predicted seconds on this machine, and the time left of a run."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics, cpu_name
from ucbench.progress import duration
from ucbench.running.tasks import Task, with_crafting
from ucbench.session import Session
from ucbench.store.keys import KeyText, key

#: Steps of the two trainings whose difference is timed, so that fixed costs cancel.
FEW, MORE = 1, 3
#: A forward pass is a third of a training step.
_EVALUATED = 1 / 3
#: Seconds between two reports of the time left.
EVERY = 30.0


def training_work(cell: Cell, images: int, size: tuple[int, int], numerics: Numerics) -> str:
    """Key of the kind of work that training this cell's victim is; the poisoner does not matter."""
    parts = tuple(part.key_text for part in (cell.victim, *cell.defense))
    return _work("training", parts, images, size, numerics)


def crafting_work(cell: Cell, images: int, size: tuple[int, int], numerics: Numerics) -> str:
    """Key of the kind of work that crafting this cell's release is; seed and radius do not matter."""
    craft = cell.craft
    surrogate = craft.surrogate.key_text if craft.surrogate else None
    return _work("crafting", (craft.poisoner.key_text, surrogate, str(craft.labels)), images, size, numerics)


@functools.lru_cache(maxsize=10_000)  # a plan looks up its few kinds of work once per cell
def _work(
    kind: str, parts: tuple[KeyText | str | None, ...], images: int, size: tuple[int, int], numerics: Numerics
) -> str:
    return key(kind, [parts, images, size, numerics.key_text, numerics.device, cpu_name()])


def predicted(task: Task, session: Session, *, crafts: bool) -> float | None:
    """Seconds that a task will take, from earlier work of the same kind on this machine; None without any.

    Args:
        crafts: whether the task has to craft its release.
    """
    cell = task.cell
    train = session.data(cell).train
    seconds = session.timings.predict(training_work(cell, len(train), train.size, session.numerics))
    if not crafts or seconds is None:
        return seconds
    images = session.protected(cell).images
    craft = session.timings.predict(crafting_work(cell, len(images), images.size, session.numerics))
    return None if craft is None else seconds + craft


class TimeLeft:
    """Reports how many cells are done and the time left, every :data:`EVERY` seconds at most.

    The pace is measured in this run, whatever executor computes it. Predictions only weight the cells; a cell of a kind
    that was never timed weighs as much as the mean of the others.
    """

    def __init__(self, tasks: Sequence[Task], session: Session) -> None:
        self._session = session
        seconds_of = {
            task.key: predicted(task, session, crafts=crafts) for task, crafts in with_crafting(tasks, session)
        }
        timed = [seconds for seconds in seconds_of.values() if seconds is not None]
        mean = statistics.fmean(timed) if timed else 1.0
        self._left = {key: mean if seconds is None else seconds for key, seconds in seconds_of.items()}
        self._count, self._work = len(self._left), sum(self._left.values())
        self._started = self._reported = time.monotonic()

    def on_done(self, task: Task) -> None:
        """Count a task as done."""
        self._left.pop(task.key, None)
        now = time.monotonic()
        left = sum(self._left.values())
        if not self._left or left >= self._work or now - self._reported < EVERY:
            return
        self._reported = now
        seconds = (now - self._started) * left / (self._work - left)
        self._session.progress.say(
            f"{self._count - len(self._left)} of {self._count} cells are done, about {duration(seconds)} left."
        )


def probe_training(cell: Cell, session: Session) -> float | None:
    """Seconds that training and evaluating the cell's victim would take, from two timed steps on the cell's images.

    None for a victim without a recipe. Stores nothing. Metrics and the ``prepare`` stage of defenses are not included.
    """
    # Not at the top: planning needs no torch unless it times trainings.
    from ucbench.exploit.train import Trainer
    from ucbench.training.determinism import deterministic
    from ucbench.training.recipe import Recipe

    victim, recipe = cell.victim.build(), cell.victim.params
    if isinstance(victim, Trainer) or not isinstance(recipe, Recipe):
        return None
    data = session.data(cell)
    with deterministic(session.numerics):
        few, more = (_timed(cell, session, count * recipe.batch) for count in (FEW, MORE))
    images = min(MORE * recipe.batch, len(data.train)) - min(FEW * recipe.batch, len(data.train))
    if images <= 0:
        return more * recipe.epochs  # the set is one batch
    each = max(more - few, 0.0) / images
    evaluations = -(-recipe.epochs // recipe.evaluate_every)
    return each * (len(data.train) * recipe.epochs + _EVALUATED * len(data.test) * evaluations)


def _timed(cell: Cell, session: Session, count: int) -> float:
    """Seconds of training on ``count`` images for one epoch, without evaluations."""
    from ucbench.exploit.defend import pipeline_of
    from ucbench.exploit.train import train
    from ucbench.training.defenses import DefenseRun

    short: dict[str, Any] = {"epochs": 1, "milestones": (), "evaluate_every": 1}
    params = cell.victim.params.model_copy(update=short)
    victim = cell.victim.registry.component_class(cell.victim.spec)(params)
    pipeline = pipeline_of(cell.defense)
    data = session.data(cell)
    images = data.train.subset(np.arange(min(count, len(data.train))))
    run = DefenseRun(session.engine, ("probe", 0), session.progress)
    return train(victim, images, data.test.subset(np.arange(1)), data.trusted, pipeline, run).seconds
