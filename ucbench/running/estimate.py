"""Estimates: what kinds of work cells are, what they will take on this machine, and how much of a run is left."""

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
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.store.keys import KeyText, key

#: Steps of the two trainings whose difference is timed: what every training costs once drops out.
FEW, MORE = 1, 3
#: A forward pass is a third of a training step.
_EVALUATED = 1 / 3
#: Seconds between two reports of the time left.
EVERY = 30.0


def training_work(cell: Cell, images: int, size: tuple[int, int], numerics: Numerics) -> str:
    """What kind of work training this cell's victim is: its cost does not depend on who perturbed the images."""
    parts = tuple(part.key_text for part in (cell.victim, *cell.defense))
    return _work("training", parts, images, size, numerics)


def crafting_work(cell: Cell, images: int, size: tuple[int, int], numerics: Numerics) -> str:
    """What kind of work crafting this cell's release is: its cost depends on neither seed nor radius."""
    craft = cell.craft
    surrogate = craft.surrogate.key_text if craft.surrogate else None
    return _work("crafting", (craft.poisoner.key_text, surrogate, str(craft.labels)), images, size, numerics)


@functools.lru_cache(maxsize=10_000)  # A plan asks for its few kinds of work once a cell.
def _work(
    kind: str, parts: tuple[KeyText | str | None, ...], images: int, size: tuple[int, int], numerics: Numerics
) -> str:
    return key(kind, [parts, images, size, numerics.key_text, numerics.device, cpu_name()])


def predicted(task: Task, session: Session, *, crafts: bool) -> float | None:
    """Seconds that a task will take, by what such work took on this machine before; None if it was never done.

    Args:
        crafts: whether the task's release has to be made too.
    """
    cell = task.cell
    train = session.data(cell).train
    seconds = session.timings.predict(training_work(cell, len(train), train.size, session.numerics))
    if not crafts or seconds is None:
        return seconds
    part = session.protected(cell).images
    craft = session.timings.predict(crafting_work(cell, len(part), part.size, session.numerics))
    return None if craft is None else seconds + craft


class TimeLeft:
    """Reports now and then how many cells are done, and the time left.

    The pace is that of this run, whoever computes it. Predictions only say what share of the work each cell is; a
    cell of a kind never timed counts as the mean of the others.
    """

    def __init__(self, tasks: Sequence[Task], session: Session) -> None:
        self._session = session
        crafted: set[str | None] = {None}
        known: dict[str, float | None] = {}
        for task in tasks:
            crafts = task.release_key not in crafted and session.store.get("release", task.release_key or "") is None
            crafted.add(task.release_key)
            known[task.key] = predicted(task, session, crafts=crafts)
        seen = [seconds for seconds in known.values() if seconds is not None]
        usual = statistics.fmean(seen) if seen else 1.0
        self._left = {key: usual if seconds is None else seconds for key, seconds in known.items()}
        self._count, self._work = len(self._left), sum(self._left.values())
        self._started = self._spoke = time.monotonic()

    def on_done(self, task: Task) -> None:
        """Count a task as done."""
        self._left.pop(task.key, None)
        now = time.monotonic()
        left = sum(self._left.values())
        if not self._left or left >= self._work or now - self._spoke < EVERY:
            return
        self._spoke = now
        seconds = (now - self._started) * left / (self._work - left)
        self._session.progress.say(
            f"{self._count - len(self._left)} of {self._count} cells are done, about {duration(seconds)} left."
        )


def probe_training(cell: Cell, session: Session) -> float | None:
    """Seconds that training and evaluating the cell's victim would take: from two timed steps on its own images.

    None for a victim without a recipe, whose steps only it knows. Nothing is stored. The metrics of a record and what
    a defense prepares once are not part of it.
    """
    # Planning needs no torch unless it times trainings.
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
    """Seconds of training on ``count`` images for one epoch, evaluations left out."""
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
    return train(victim, images, data.test.subset(np.arange(1)), data.trusted, pipeline, run, session.engine).seconds
