"""Assigns the jobs of a run to workers, whatever their transport, and reports their results."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from time import monotonic

from ucbench.errors import StoreError, UsageError
from ucbench.numerics import versions
from ucbench.results.records import Record, failure_text
from ucbench.running.compute import failed
from ucbench.running.executors.contract import OnDone
from ucbench.running.executors.worker import READY, Job, Worker, WorkerError
from ucbench.running.tasks import Task, title, with_crafting
from ucbench.session import Session

_log = logging.getLogger(__name__)

#: How often a job is tried whose worker dies, and a worker started that dies before it is ready. After the second
#: death the job, or the worker, is to blame.
ATTEMPTS = 2
#: Seconds between two checks of the time limit while no worker reports.
_TICK = 1.0
#: Seconds without a ready worker after which the user is informed.
_PATIENCE = 30.0


class Schedule:
    """The jobs of a run: each release before the cells that share it, and those cells close together.

    Args:
        tasks: in the order in which they should roughly be done, and whether each has to craft its release.
    """

    def __init__(self, tasks: Iterable[tuple[Task, bool]]) -> None:
        self._waiting: dict[str | None, list[Task]] = {}
        self._ready: deque[Job] = deque()
        for task, crafts in tasks:
            if crafts:
                self._waiting[task.release_key] = []
                self._ready.append(Job("craft", task))
            if task.release_key in self._waiting:
                self._waiting[task.release_key].append(task)
            else:
                self._ready.append(Job("cell", task))

    def __bool__(self) -> bool:
        """Whether any job is left, now or once a release is crafted."""
        return bool(self._ready or self._waiting)

    def next(self) -> Job | None:
        """A job that can start now; None if all others wait for releases that are being crafted."""
        return self._ready.popleft() if self._ready else None

    def retry(self, job: Job) -> None:
        """Put ``job`` before all others."""
        self._ready.appendleft(job)

    def crafted(self, job: Job) -> None:
        """The release of this job is in the store; the cells that waited for it come next, while it is in caches."""
        for task in reversed(self._shared(job)):
            self._ready.appendleft(Job("cell", task))

    def give_up(self, job: Job) -> list[Task]:
        """Drop ``job``; returns the tasks that fail with it."""
        return self._shared(job) if job.kind == "craft" else [job.task]

    def _shared(self, job: Job) -> list[Task]:
        return self._waiting.pop(job.task.release_key, [])


class Dispatcher:
    """Computes tasks on workers, each release once.

    A worker that dies, exceeds the limit or sends an unexpected reply costs only its own job; another process replaces
    it. A job whose worker died is tried once more; a second death becomes its failure.

    Args:
        tasks: the cells to compute.
        session: its store holds the releases.
        on_done: called once with each task and its record.
        workers: of one class, not started yet; at most one per task is used.
        limit: seconds a job may take, without those in which it waits for another process; None for no limit.
        waiting: message if no worker is ready after half a minute.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        session: Session,
        on_done: OnDone,
        workers: Sequence[Worker],
        limit: float | None = None,
        waiting: str = "Waiting for a worker to start.",
    ) -> None:
        self._schedule = Schedule(with_crafting(tasks, session))
        self._session, self._on_done, self._limit, self._waiting = session, on_done, limit, waiting
        self._workers = list(workers[: len(tasks)])
        self._attempts: Counter[str] = Counter()
        self._differences: set[str] = set()

    def run(self) -> None:
        """Run until every task has its record.

        Raises:
            UsageError: if no worker can be started.
            StoreError: if the store of a worker fails.
        """
        self._notice_at = monotonic() + _PATIENCE
        with ExitStack() as stack:
            for worker in self._workers:
                worker.start()
                stack.callback(worker.stop)
            while self._schedule or any(worker.job for worker in self._workers):
                self._hand_out()
                self._listen()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.awaited is None:
                job = self._schedule.next()
                if job is None:
                    return
                if job.kind == "cell":
                    self._session.progress.cell(title(job.task.cell))
                self._attempts[job.id] += 1
                worker.since = (monotonic(), worker.waited())
                worker.give(job, self._attempts[job.id])

    def _listen(self) -> None:
        reporting = self._workers[0].wait(self._workers, _TICK)
        for worker in list(self._workers):
            if worker in reporting:
                self._hear(worker)
            elif worker.job and self._limit is not None and _worked(worker) > self._limit:
                self._give_up(worker.job, "TimeLimit", f"Stopped after {self._limit:g} seconds, the limit.")
                self._replace(worker)
        if monotonic() > self._notice_at:
            self._notice_at = math.inf
            self._session.progress.say(self._waiting)

    def _hear(self, worker: Worker) -> None:
        job = worker.job
        try:
            outcome = worker.answer()
        except WorkerError as death:
            self.on_worker_death(worker, str(death))
            return
        if job is None:
            self._on_ready(worker, outcome)
        elif isinstance(outcome, tuple) and outcome[0] == StoreError.__name__:
            raise StoreError(outcome[1])
        elif isinstance(outcome, tuple):
            self._give_up(job, *outcome)
        elif job.kind == "cell":
            self._finish(job.task, outcome)
        else:
            self._schedule.crafted(job)

    def _on_ready(self, worker: Worker, installed: dict[str, str]) -> None:
        self._notice_at = math.inf
        worker.failed_starts = 0
        for name, version in installed.items():
            here = versions().get(name, "not installed")
            difference = f"A worker has {name} {version}, this machine {here}; every record names its versions."
            if version != here and difference not in self._differences:
                self._differences.add(difference)
                self._session.progress.say(difference)

    def on_worker_death(self, worker: Worker, reason: str) -> None:
        """Retry its job or give it up, and replace its process."""
        job = worker.job
        if job is not None:
            text = f"The worker died ({reason}) while it computed {title(job.task.cell)}."
            self._session.progress.say(text)
            if self._attempts[job.id] < ATTEMPTS:
                self._schedule.retry(job)
            else:
                self._give_up(job, "WorkerDied", text)
        elif worker.awaited == READY:
            worker.failed_starts += 1
        if worker.failed_starts >= ATTEMPTS:
            self._dismiss(worker, reason)
        else:
            self._replace(worker)

    def _dismiss(self, worker: Worker, reason: str) -> None:
        """Continue without a worker that cannot be started."""
        worker.stop()
        self._workers.remove(worker)
        text = f"A worker cannot be started: {reason}"
        if not self._workers:
            raise UsageError(f"{text}\nWorkers need the same ucbench and the same plugins as the driver.")
        self._session.progress.say(text)

    def _replace(self, worker: Worker) -> None:
        """Replace this worker's process, if any job is left for it."""
        worker.stop()
        if self._schedule:
            worker.start()
        else:
            self._workers.remove(worker)

    def _give_up(self, job: Job, kind: str, text: str, place: str = "") -> None:
        for task in self._schedule.give_up(job):
            self._finish(task, failed(task, self._session, kind, text, place))

    def _finish(self, task: Task, record: Record) -> None:
        if record["status"] != "ok":
            self._session.progress.say(f"failed: {title(task.cell)}: {failure_text(record)}")
            _log.debug("%s", record["error"]["text"].strip())
        self._on_done(task, record)


def _worked(worker: Worker) -> float:
    """Seconds that its job has taken, without those in which it waited for another process."""
    started, waited = worker.since
    return monotonic() - started - (worker.waited() - waited)
