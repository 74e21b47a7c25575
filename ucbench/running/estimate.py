"""Estimates: kinds of work, their predicted seconds on this machine, and the time left of a run."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ucbench.matrix.cell import Cell
from ucbench.numerics import Numerics, cpu_name
from ucbench.progress import duration
from ucbench.results.records import Record
from ucbench.running.tasks import Task, with_crafting
from ucbench.session import Session
from ucbench.store.keys import KeyText, key

#: Steps of the two trainings whose difference is timed, so that fixed costs cancel.
FEW, MORE = 1, 3
#: A forward pass is a third of a training step.
_EVALUATED = 1 / 3
#: A craft or a training, and the key of its kind.
_Work = tuple[Literal["craft", "train"], str]


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
    total = 0.0
    for _, work in _works(task, session, crafts):
        seconds = session.timings.predict(work)
        if seconds is None:
            return None
        total += seconds
    return total


class TimeLeft:
    """The time left of a run, whatever executor computes it: crafts and trainings at the pace of this run.

    A kind of work takes as long as it took in this run; else as predicted, times how much longer than predicted the
    others took; a training of an unknown kind takes the mean of the others. A craft of an unknown kind is not counted,
    which the text says.
    """

    def __init__(self, tasks: Sequence[Task], session: Session) -> None:
        self._works = {task.key: _works(task, session, crafts) for task, crafts in with_crafting(tasks, session)}
        kinds = {work for works in self._works.values() for work in works}
        self._predicted = {work: seconds for work in kinds if (seconds := session.timings.predict(work[1])) is not None}
        self._measured: dict[_Work, list[float]] = {}
        self._done = 0.0
        self._started = self._last = time.monotonic()

    def on_done(self, task: Task, record: Record) -> None:
        """Count a task as done, and what its record says of the time it took."""
        works = self._works.pop(task.key)
        self._last = time.monotonic()
        if record["status"] == "ok":
            cost = record["cost"]
            for work in works:
                self._measured.setdefault(work, []).append(cost["craft_seconds" if work[0] == "craft" else "seconds"])
            self._done += self._sum(works)

    def text(self, at_least: float = 0.0) -> str:
        """``about 3 minutes left``, ``more than`` where an unknown craft is missing; empty if nothing is known."""
        works = [work for works in self._works.values() for work in works]
        passed = time.monotonic() - self._last
        pace = self._done / (self._last - self._started) if self._done and self._last > self._started else 1.0
        begun = next(iter(self._works.values()), [])
        seconds = (self._sum(works) - min(passed * pace, self._sum(begun))) / pace
        # What is done now is the craft that the sum lacks, or part of the sum.
        seconds = max(seconds, at_least) if all(map(self._known, begun)) else seconds + at_least
        if not seconds:
            return ""
        return f"{'about' if all(map(self._known, works)) else 'more than'} {duration(seconds)} left"

    def _known(self, work: _Work) -> bool:
        return work[0] == "train" or work in self._measured or work in self._predicted

    def _sum(self, works: Sequence[_Work]) -> float:
        both = self._measured.keys() & self._predicted
        measured = {work: statistics.fmean(seconds) for work, seconds in self._measured.items()}
        expected = sum(self._predicted[work] for work in both)
        slower = sum(measured[work] for work in both) / expected if expected else 1.0
        seconds = {work: slower * seconds for work, seconds in self._predicted.items()} | measured
        trainings = [value for work, value in seconds.items() if work[0] == "train"]
        mean = statistics.fmean(trainings) if trainings else 0.0
        return sum(seconds.get(work, mean if work[0] == "train" else 0.0) for work in works)


def _works(task: Task, session: Session, crafts: bool) -> list[_Work]:
    """What a task has to do: its training, and its craft if no other does it."""
    cell, data = task.cell, session.data(task.cell)
    works: list[_Work] = [("train", training_work(cell, len(data.train), data.train.size, session.numerics))]
    if crafts:
        images = session.protected(cell).images
        works.append(("craft", crafting_work(cell, len(images), images.size, session.numerics)))
    return works


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
