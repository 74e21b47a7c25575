"""Several processes of this machine, each with its own threads or its own accelerator."""

from __future__ import annotations

import math
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any

from ucbench.numerics import Numerics, available_cores
from ucbench.progress import Silent
from ucbench.results.records import Record
from ucbench.running.compute import compute, craft, failed
from ucbench.running.executors.base import OnDone
from ucbench.running.executors.params import ProcessParams
from ucbench.running.executors.schedule import Job, Schedule
from ucbench.running.tasks import Task, title
from ucbench.session import Session

#: How often a job is begun whose worker died: a second death is the job's own doing.
ATTEMPTS = 2
#: Seconds between looks at the clock while nobody reports.
_TICK = 1.0
#: What a worker says when it takes a job up.
_BEGUN = "begun"


@dataclass(frozen=True)
class Setting:
    """What a worker needs to open a workbench of its own."""

    home: Path
    numerics: Numerics


class Processes:
    """Workers of this machine that share the store.

    A worker that dies, is killed or exceeds the limit costs its own job only: another takes its place. A job whose
    worker died is begun once more, and a second death is recorded as its failure.
    """

    def __init__(self, params: ProcessParams) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """As :meth:`ucbench.running.executors.base.Executor.run`."""
        keys = {task.release_key for task in tasks if task.release_key is not None}
        crafted = {key for key in keys if session.store.get("release", key) is not None}
        schedule = Schedule(tasks, crafted)
        settings = self._settings(session)
        team = [_Worker(settings[i % len(settings)]) for i in range(min(len(settings), max(1, len(tasks))))]
        try:
            _Foreman(schedule, team, session, on_done, len(tasks), self.params.limit).work()
        finally:
            for worker in team:
                worker.stop()

    def _settings(self, session: Session) -> list[Setting]:
        """One setting a worker."""
        numerics, root = session.numerics, session.store.root
        if not numerics.device.startswith("cuda"):
            count = self.params.workers or max(1, available_cores() // numerics.threads)
            return [Setting(root, numerics)] * count
        import torch

        named = ":" in numerics.device
        devices = [numerics.device] if named else [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        count = self.params.workers or len(devices)
        return [Setting(root, replace(numerics, device=devices[i % len(devices)])) for i in range(count)]


class _Foreman:
    """Hands out a schedule's jobs, and hears what became of them."""

    def __init__(
        self,
        schedule: Schedule,
        team: list[_Worker],
        session: Session,
        on_done: OnDone,
        count: int,
        limit: float | None,
    ) -> None:
        self._schedule, self._team, self._bench, self._landed = schedule, team, session, on_done
        self._limit, self._count, self._done = limit, count, 0
        self._begun: dict[tuple[str, str], int] = {}
        self._advance = session.progress.bar("cells", count)

    def work(self) -> None:
        while self._schedule or any(worker.job for worker in self._team):
            for worker in self._team:
                if worker.job is None:
                    job = self._schedule.next()
                    if job is None:
                        break
                    self._begin(worker, job)
            busy = [worker for worker in self._team if worker.job]
            heard = wait([end for worker in busy for end in (worker.connection, worker.sentinel)], _TICK)
            for worker in busy:
                if worker.connection in heard or worker.sentinel in heard:
                    self._hear(worker)
                elif self._limit is not None and worker.busy_for > self._limit and worker.job is not None:
                    self._stop_at_limit(worker)

    def _begin(self, worker: _Worker, job: Job) -> None:
        if job.kind == "cell":
            self._bench.progress.say(f"[{self._done + 1}/{self._count}] {title(job.task.cell)}")
        name = (job.kind, job.task.key)
        self._begun[name] = self._begun.get(name, 0) + 1
        worker.give(job)

    def _hear(self, worker: _Worker) -> None:
        job = worker.job
        assert job is not None
        try:
            result = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker, job)
            return
        if result == _BEGUN:
            worker.since = monotonic()
            return
        worker.job = None
        if job.kind == "cell":
            self._land(job.task, result)
        elif result is None:
            self._schedule.crafted(job)
        else:
            self._give_up(job, *result)

    def _bury(self, worker: _Worker, job: Job) -> None:
        """A worker died at its job."""
        code = worker.replace()
        text = f"The worker died ({_cause(code)}) while it computed {title(job.task.cell)}."
        self._bench.progress.say(text)
        if self._begun[job.kind, job.task.key] < ATTEMPTS:
            self._schedule.again(job)
        elif job.kind == "craft":
            self._give_up(job, "WorkerDied", text)
        else:
            self._land(job.task, failed(job.task, self._bench, "WorkerDied", text))

    def _stop_at_limit(self, worker: _Worker) -> None:
        job = worker.job
        assert job is not None
        worker.replace()
        text = f"Stopped after {self._limit:g} seconds, the limit."
        if job.kind == "craft":
            self._give_up(job, "TimeLimit", text)
        else:
            self._land(job.task, failed(job.task, self._bench, "TimeLimit", text))

    def _give_up(self, job: Job, kind: str, text: str) -> None:
        for task in self._schedule.given_up(job):
            self._land(task, failed(task, self._bench, kind, text))

    def _land(self, task: Task, record: Record) -> None:
        self._done += 1
        self._advance(1)
        if record["status"] != "ok":
            self._bench.progress.say(f"failed: {title(task.cell)}: {record['error']['type']}")
        self._landed(task, record)


class _Worker:
    """One process at the other end of a pipe, and what it is doing."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.job: Job | None = None
        #: When it began its job; infinitely late while it is still starting.
        self.since = math.inf
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share the driver's threads and accelerator
        self.connection, other = spawn.Pipe()
        self._process: BaseProcess = spawn.Process(target=_serve, args=(other, self._setting), daemon=True)
        self._process.start()
        other.close()

    @property
    def sentinel(self) -> int:
        return self._process.sentinel

    @property
    def busy_for(self) -> float:
        return monotonic() - self.since

    def give(self, job: Job) -> None:
        self.job, self.since = job, math.inf
        with suppress(OSError):  # it died while it waited; the foreman hears of it as of any death
            self.connection.send(job)

    def replace(self) -> int | None:
        """Put a new process in the place of this one; the exit code of the old."""
        self.stop()
        code = self._process.exitcode
        self.job = None
        self._start()
        return code

    def stop(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self.connection.close()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}" + (", perhaps for want of memory" if code == -9 else "")
    return f"exit code {code}"


def _serve(connection: Connection, setting: Setting) -> None:
    """A worker's life: jobs come in, records and reasons go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle, which then stops its workers
    from ucbench.store.store import Store

    session = Session(Store(setting.home), setting.numerics, Silent())
    work: dict[str, Callable[[Task, Session], Any]] = {"craft": craft, "cell": compute}
    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_BEGUN)
        connection.send(work[job.kind](job.task, session))
