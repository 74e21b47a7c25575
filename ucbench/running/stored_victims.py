"""Trained victims that are kept in the store, for measures that come later than the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ucbench.exploit.defend import pipeline_of
from ucbench.exploit.train import TrainedVictim, restore, weights_of
from ucbench.matrix.cell import CORE_VERSION
from ucbench.running.sets import ExploiterSets, exploiter_sets, release_of
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.store.keys import key as key_of
from ucbench.training.defenses import DefenseRun
from ucbench.training.determinism import deterministic, guarded


def victim_key(task: Task) -> str:
    """Key of the cell's trained network in the store."""
    return key_of("victim", {"core": CORE_VERSION, "cell": task.key})


def is_kept(task: Task, session: Session) -> bool:
    """Whether the cell's trained network is in the store, intact; not one of another training than its record there."""
    network = session.store.get("victim", victim_key(task))
    record = session.store.get("cell", task.key)
    return network is not None and (record is None or network.meta["history"] == record.meta["history"])


def keep(trained: TrainedVictim, task: Task, session: Session) -> None:
    """Store the trained network; a no-op for an opaque trainer, which shows none."""
    weights = weights_of(trained)
    if weights is not None:
        key = victim_key(task)
        session.store.discard("victim", key)  # a cell that is computed again is measured on what it trained now
        session.store.put("victim", key, weights, {"history": list(trained.history)})


@contextmanager
def restored(task: Task, session: Session) -> Iterator[tuple[TrainedVictim, ExploiterSets]]:
    """A victim that was kept, and the image sets of its cell."""
    cell, stored = task.cell, session.store.get("victim", victim_key(task))
    assert stored is not None
    release = release_of(cell, session)
    with deterministic(session.numerics):
        run = DefenseRun(session.engine, ("train", cell.train_seed), session.progress)
        sets, pipeline = exploiter_sets(cell, release, session), pipeline_of(cell.defense)
        with guarded(f"Victim {cell.victim}", run.seed("global")):
            victim = cell.victim.build()
            trained = restore(victim, stored.arrays, stored.meta["history"], sets.train, pipeline, run)
        yield trained, sets
