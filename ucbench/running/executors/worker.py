"""Workers: both ends of one, and the messages between them. Imports no torch."""

from __future__ import annotations

import math
import os
import pickle
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ucbench.errors import type_and_text
from ucbench.numerics import Numerics, versions
from ucbench.plugins.manager import PluginFile
from ucbench.plugins.registry import adopt, plugin_files
from ucbench.progress import Silent
from ucbench.running.tasks import Task, task_of
from ucbench.session import Session
from ucbench.store.store import Store


@dataclass(frozen=True)
class Job:
    """One unit of work: crafting a release that cells wait for, or computing a cell."""

    kind: Literal["craft", "cell"]
    task: Task

    @property
    def id(self) -> str:
        """Unique in a run."""
        return f"{self.kind} {self.task.key}"


@dataclass(frozen=True)
class Request:
    """A job sent to a worker.

    Attributes:
        id: of the job.
        attempt: number of the attempt, from 1.
        job: pickled, because unpickling imports modules, which may fail and must fail inside :meth:`JobRunner.run`.
        files: the single-file plugins of the driver.
    """

    id: str
    attempt: int
    job: bytes
    files: tuple[PluginFile, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A worker's message: that it is ready, or the outcome of the request with this id and attempt.

    Attributes:
        outcome: the record of a cell, None for a release that is in the store, or type, text and (unless the worker is
            at fault) place of an error. Of a worker that is ready: its versions of the libraries that can change
            numbers.
    """

    id: str
    attempt: int
    outcome: Any


#: Id and attempt of a worker's first reply, which says that it is ready.
READY = ("ready", 0)


class WorkerError(Exception):
    """A worker's process ended, or can no longer be trusted; the text says how."""


class Worker(ABC):
    """The driver's end of a worker, which is starting, idle or busy. A transport implements the abstract methods.

    Attributes:
        job: its current job; None while it is starting or idle.
        awaited: id and attempt of its next reply; None while it is idle.
        since: when it got its job, in seconds of the dispatcher's clock, and what :meth:`waited` was then.
        failed_starts: how many times in a row it died before it was ready.
    """

    job: Job | None = None
    awaited: tuple[str, int] | None = None
    since = (math.inf, 0.0)
    failed_starts = 0

    @abstractmethod
    def launch(self) -> None:
        """Start a process whose first reply is that of :meth:`JobRunner.ready`; the reply may come at any time."""

    @abstractmethod
    def send(self, request: Request) -> None:
        """Pass a request to :meth:`JobRunner.run`. If the process has died, :meth:`receive` reports it, not this."""

    @abstractmethod
    def receive(self) -> Reply:
        """The reply that :meth:`wait` announced.

        Raises:
            WorkerError: if the process has ended instead.
        """

    @abstractmethod
    def stop(self) -> None:
        """Kill the process, if it still runs."""

    def waited(self) -> float:
        """Seconds since its start for which its process waited while another one made what a job needs.

        They do not count towards the limit. 0 for transports that do not measure it.
        """
        return 0.0

    @classmethod
    @abstractmethod
    def wait(cls, workers: Sequence[Self], seconds: float) -> Collection[Self]:
        """The workers that have replied or died, as soon as there are any; empty after ``seconds``."""

    def start(self) -> None:
        """Start a process."""
        self.job, self.awaited = None, READY
        self.launch()

    def give(self, job: Job, attempt: int) -> None:
        """Send the job to the process, which is idle."""
        self.job, self.awaited = job, (job.id, attempt)
        self.send(Request(job.id, attempt, pickle.dumps(job), plugin_files()))

    def answer(self) -> Any:
        """The awaited outcome; the worker is idle afterwards.

        Raises:
            WorkerError: if the process has ended, or replied to another request. A process that replies twice, because
                a component forked it, would otherwise answer the wrong jobs.
        """
        reply = self.receive()
        if (reply.id, reply.attempt) != self.awaited:
            raise WorkerError(f"it replied to '{reply.id}', attempt {reply.attempt}, which was not its request")
        self.job, self.awaited = None, None
        return reply.outcome


class JobRunner:
    """The process end of a worker: does the requested jobs with the run's store and numerics.

    Args:
        home: folder of the store, on this machine.
        numerics: of the run, with the device of this process.
        waiting: entered while another process makes what a job needs.
    """

    def __init__(
        self, home: Path | str, numerics: Numerics, waiting: Callable[[str], AbstractContextManager[None]] | None = None
    ) -> None:
        self._session = Session(Store(Path(home), waiting), numerics, Silent())
        self._process = os.getpid()

    def ready(self) -> Reply:
        """The first reply."""
        return Reply(*READY, versions())

    def run(self, request: Request) -> Reply:
        """Do a job. Every exception becomes the outcome: the driver interrupts a worker by ending its process."""
        job: Job | None = None
        try:
            adopt(request.files)
            job = pickle.loads(request.job)
            outcome = self._do(job)
        except BaseException as error:
            registry = self._session.registry if job is None else job.task.cell.dataset.registry
            outcome = (*type_and_text(error), registry.place_of(error))
        if os.getpid() != self._process:
            os._exit(1)  # a component forked and let the fork return: only the worker itself may reply
        return Reply(request.id, request.attempt, outcome)

    def _do(self, job: Job) -> Any:
        from ucbench.running.compute import compute
        from ucbench.running.sets import crafted

        task = task_of(job.task.cell, self._session)
        if (task.key, task.release_key) != (job.task.key, job.task.release_key):
            return (
                "NodeDiffers",
                f"The cell has another key in a worker on {platform.node()} than where the run was started: data,"
                " plugins or versions differ. Install the same everywhere, and do not change data during a run.",
            )
        if job.kind == "cell":
            return compute(job.task, self._session)
        crafted(job.task.cell, self._session)
        return None
