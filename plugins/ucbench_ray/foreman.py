"""Hands out a schedule's jobs to workers on a cluster, and hears what became of them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from ucbench import Job, OnDone, Record, Schedule, Session, Task, UcbenchError, UsageError, failed, title, versions

#: How often a job is begun whose worker died, and a worker started that dies before it is ready.
ATTEMPTS = 2
#: Seconds between looks at the clock while nobody reports.
_TICK = 1.0
#: Seconds without any worker after which it is said that the cluster is waited for.
_PATIENCE = 30.0


class Hand:
    """One worker as the driver sees it: starting, idle, or at a job.

    Args:
        make: starts an actor of :class:`ucbench_ray.worker.Worker`.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        #: How often in a row it died before it was ready.
        self.stillborn = 0
        self.start()

    def start(self) -> None:
        self.job: Job | None = None
        #: When it began its job; infinitely late while it has none.
        self.since = math.inf
        self._actor = self._make()
        #: What it will report next: that it is ready, or what came of its job. None while it is idle.
        self.awaited: Any = self._actor.open.remote()

    def give(self, job: Job) -> None:
        self.job, self.since = job, monotonic()
        self.awaited = self._actor.work.remote(pickle.dumps(job))

    def rest(self) -> None:
        self.job, self.since, self.awaited = None, math.inf, None

    def stop(self) -> None:
        """End its process, by force."""
        self.rest()
        with suppress(Exception):  # the connection may be what was lost
            ray.kill(self._actor)


class Foreman:
    """Works a schedule off.

    Args:
        team: the workers; those that cannot be started are taken out of it.
        count: how many cells there are.
        limit: seconds a job may take, or None.
        wanted: what a worker takes of the cluster, in words.
    """

    def __init__(
        self,
        schedule: Schedule,
        team: list[Hand],
        session: Session,
        on_done: OnDone,
        count: int,
        limit: float | None,
        wanted: str,
    ) -> None:
        self._schedule, self._team, self._bench, self._landed = schedule, team, session, on_done
        self._limit, self._count, self._done = limit, count, 0
        self._begun: dict[tuple[str, str], int] = {}
        self._advance = session.progress.bar("cells", count)
        self._wanted, self._patient_until = wanted, monotonic() + _PATIENCE
        self._differences: set[str] = set()

    def work(self) -> None:
        """Until every job is done or given up.

        Raises:
            UsageError: if no worker can be started.
        """
        while self._schedule or any(hand.job for hand in self._team):
            for hand in self._team:
                if hand.awaited is None:
                    job = self._schedule.next()
                    if job is None:
                        break
                    self._begin(hand, job)
            busy = {hand.awaited: hand for hand in self._team if hand.awaited is not None}
            heard, _ = ray.wait(list(busy), timeout=_TICK)
            for awaited, hand in busy.items():
                if awaited in heard:
                    self._hear(hand)
                elif hand.job and self._limit is not None and monotonic() - hand.since > self._limit:
                    self._stop_at_limit(hand, hand.job)
            self._mind_the_wait()

    def _begin(self, hand: Hand, job: Job) -> None:
        if job.kind == "cell":
            self._bench.progress.say(f"[{self._done + 1}/{self._count}] {title(job.task.cell)}")
        name = (job.kind, job.task.key)
        self._begun[name] = self._begun.get(name, 0) + 1
        hand.give(job)

    def _hear(self, hand: Hand) -> None:
        job = hand.job
        try:
            outcome = ray.get(hand.awaited)
        except RayTaskError as error:
            outcome = _told(error)
        except RayError as error:  # its process, its node, or the way there
            if job is None:
                self._bury_stillborn(hand, error)
            else:
                self._bury(hand, job, error)
            return
        hand.rest()
        if job is None:
            self._greet(hand, outcome)
        elif isinstance(outcome, tuple):
            self._give_up(job, *outcome)
        elif job.kind == "cell":
            self._land(job.task, outcome)
        else:
            self._schedule.crafted(job)

    def _greet(self, hand: Hand, outcome: dict[str, str] | tuple[str, str]) -> None:
        """A worker is ready, or says why it cannot be."""
        self._patient_until = math.inf
        if isinstance(outcome, tuple):
            self._dismiss(hand, outcome[1])
            return
        hand.stillborn = 0
        for name, version in outcome.items():
            here = versions()[name]
            difference = f"A worker has {name} {version}, this machine {here}; each record says what it was made with."
            if version != here and difference not in self._differences:
                self._differences.add(difference)
                self._bench.progress.say(difference)

    def _bury_stillborn(self, hand: Hand, error: RayError) -> None:
        hand.stillborn += 1
        hand.stop()
        if hand.stillborn < ATTEMPTS:
            hand.start()
        else:
            self._dismiss(hand, str(error))

    def _dismiss(self, hand: Hand, reason: str) -> None:
        hand.stop()
        self._team.remove(hand)
        text = f"A worker cannot be started on the cluster: {reason.strip()}"
        if not self._team:
            raise UsageError(f"{text}\nEvery node needs the same ucbench and the same plugins.")
        self._bench.progress.say(text)

    def _bury(self, hand: Hand, job: Job, error: RayError) -> None:
        """A worker died at its job."""
        text = f"The worker died while it computed {title(job.task.cell)}."
        self._bench.progress.say(text)
        if self._begun[job.kind, job.task.key] < ATTEMPTS:
            self._schedule.again(job)
        else:
            self._give_up(job, "WorkerDied", f"{text} Ray says: {str(error).strip().splitlines()[-1]}")
        self._replace(hand)

    def _stop_at_limit(self, hand: Hand, job: Job) -> None:
        hand.stop()
        self._give_up(job, "TimeLimit", f"Stopped after {self._limit:g} seconds, the limit.")
        self._replace(hand)

    def _replace(self, hand: Hand) -> None:
        """Put a new process in the place of this worker's, as long as there is work for it."""
        hand.stop()
        if self._schedule:
            hand.start()
        else:
            self._team.remove(hand)

    def _give_up(self, job: Job, kind: str, text: str) -> None:
        for task in self._schedule.given_up(job) if job.kind == "craft" else [job.task]:
            self._land(task, failed(task, self._witness(), kind, text))

    def _witness(self) -> Session:
        """A workbench that can describe a failure: the driver of GPUs elsewhere may have none itself."""
        import torch

        numerics = self._bench.numerics
        if not numerics.device.startswith("cuda") or torch.cuda.is_available():
            return self._bench
        return Session(self._bench.store, replace(numerics, device="cpu"), self._bench.progress)

    def _land(self, task: Task, record: Record) -> None:
        self._done += 1
        self._advance(1)
        if record["status"] != "ok":
            self._bench.progress.say(f"failed: {title(task.cell)}: {record['error']['type']}")
        else:
            self._keep(task, record)
        self._landed(task, record)

    def _keep(self, task: Task, record: Record) -> None:
        """Put what was made on a store that is not shared into the driver's own."""
        store = self._bench.store
        kept = store.get("cell", task.key)
        if kept is not None and task.force and kept.meta["cost"] != record["cost"]:  # one of an earlier run
            store.discard("cell", task.key)
            kept = None
        if kept is None:
            store.put("cell", task.key, {}, record)

    def _mind_the_wait(self) -> None:
        if monotonic() > self._patient_until:
            self._patient_until = math.inf
            self._bench.progress.say(f"Waiting for the cluster to give a worker {self._wanted}.")


def _told(error: RayTaskError) -> tuple[str, str]:
    """Type and text of what a worker raised."""
    cause = error.cause
    return type(cause).__name__, str(cause) if isinstance(cause, UcbenchError) else str(error)
