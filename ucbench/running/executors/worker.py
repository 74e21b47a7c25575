"""A worker: the messages that pass between it and the driver, and both of its ends. Imports no torch."""

from __future__ import annotations

import math
import os
import pickle
import platform
import traceback
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ucbench.errors import UcbenchError
from ucbench.numerics import Numerics
from ucbench.running.tasks import Task, task_of


@dataclass(frozen=True)
class Job:
    """What one worker does at a time: crafts a release that several cells wait for, or computes a cell."""

    kind: Literal["craft", "cell"]
    task: Task

    @property
    def id(self) -> str:
        """Unique in a run."""
        return f"{self.kind} {self.task.key}"


@dataclass(frozen=True)
class Request:
    """A job on its way to a worker.

    Attributes:
        id: of the job.
        attempt: how often the job was handed out, this time included.
        job: pickled, because unpickling imports what the worker has to be ready for.
    """

    id: str
    attempt: int
    job: bytes


@dataclass(frozen=True)
class Reply:
    """What a worker says: that it is ready, or what came of the request with this id and attempt.

    Attributes:
        outcome: the record of a cell, None for a release that is in the store, or type and text of an error; of a
            worker that is ready, its versions of the libraries that can move a number.
    """

    id: str
    attempt: int
    outcome: Any


#: Id and attempt of a worker's first reply: it is ready.
READY = ("ready", 0)


class WorkerError(Exception):
    """A worker's process ended, or can no longer be trusted; the text says how."""


class Worker(ABC):
    """The driver's end of a worker, which is starting, idle or at a job. A transport implements the abstract methods.

    Attributes:
        job: what it was given; None while it is starting or idle.
        awaited: id and attempt of its next reply; None while it is idle.
        since: when it was given its job, in seconds of the dispatcher's clock.
        failed_starts: how often in a row it died before it was ready.
    """

    job: Job | None = None
    awaited: tuple[str, int] | None = None
    since = math.inf
    failed_starts = 0

    @abstractmethod
    def launch(self) -> None:
        """Start a process whose first reply is :meth:`JobRunner.ready`; it may come at any time later."""

    @abstractmethod
    def send(self, request: Request) -> None:
        """Pass a request to :meth:`JobRunner.run`. A process that has died is reported by :meth:`receive`, not here."""

    @abstractmethod
    def receive(self) -> Reply:
        """The reply that :meth:`wait` announced.

        Raises:
            WorkerError: if the process has ended instead.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the process by force, if it has not ended."""

    @classmethod
    @abstractmethod
    def wait(cls, workers: Sequence[Self], seconds: float) -> Collection[Self]:
        """Those of the workers that have replied or died, as soon as there are any; none after so many seconds."""

    def start(self) -> None:
        """Start a process."""
        self.job, self.awaited = None, READY
        self.launch()

    def give(self, job: Job, attempt: int) -> None:
        """Hand the job to the process, which is idle."""
        self.job, self.awaited = job, (job.id, attempt)
        self.send(Request(job.id, attempt, pickle.dumps(job)))

    def answer(self) -> Any:
        """The outcome that was awaited; the worker is idle afterwards.

        Raises:
            WorkerError: if there is none, or if the reply is to anything else than what this worker was given: a
                process that answers twice, as one that was forked does, would shift its answers to other jobs.
        """
        reply = self.receive()
        if (reply.id, reply.attempt) != self.awaited:
            raise WorkerError(f"it answered '{reply.id}', attempt {reply.attempt}, which it was not asked")
        self.job, self.awaited = None, None
        return reply.outcome


class JobRunner:
    """The far end of a worker: does the jobs that come in, on the run's store and with the run's numerics.

    Args:
        home: folder of the store, as this process sees it.
        numerics: of the run, with the device of this process.
    """

    def __init__(self, home: Path | str, numerics: Numerics) -> None:
        from ucbench.progress import Silent
        from ucbench.session import Session
        from ucbench.store.store import Store

        self._session = Session(Store(Path(home)), numerics, Silent())
        self._process = os.getpid()

    def ready(self) -> Reply:
        """The first reply."""
        from ucbench.numerics import versions

        return Reply(*READY, versions())

    def run(self, request: Request) -> Reply:
        """Do a job. What it raises is its outcome, an interruption excepted."""
        try:
            outcome = self._do(pickle.loads(request.job))
        except Exception as error:
            text = str(error) if isinstance(error, UcbenchError) else traceback.format_exc()
            outcome = type(error).__name__, text
        if os.getpid() != self._process:
            os._exit(1)  # a component forked and let the fork return: only the worker itself may answer
        return Reply(request.id, request.attempt, outcome)

    def _do(self, job: Job) -> Any:
        from ucbench.running.compute import compute, craft

        here = task_of(job.task.cell, self._session)
        if (here.key, here.release_key) != (job.task.key, job.task.release_key):
            return (
                "NodeDiffers",
                f"The cell has another key in a worker on {platform.node()} than where the run was started: data,"
                " plugins or versions differ. Install the same everywhere, and leave data unchanged during a run.",
            )
        return craft(job.task, self._session) if job.kind == "craft" else compute(job.task, self._session)
