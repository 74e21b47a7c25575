"""Several processes on this machine, each with its own threads or accelerator."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Self

from pydantic import Field

from ucbench.numerics import Numerics, available_cores
from ucbench.plugins.params import Params
from ucbench.running.executors.contract import OnDone
from ucbench.running.executors.worker import JobRunner, Reply, Request, Worker, WorkerError
from ucbench.running.tasks import Task
from ucbench.session import Session

#: Of Linux: the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


class ProcessParams(Params):
    argument: ClassVar[str | None] = "workers"

    workers: int | None = Field(
        None, ge=1, description="processes; none: as many as fit the cores at the run's threads each, or one a device"
    )
    limit: float | None = Field(None, gt=0, description="seconds a cell may take, and a craft; none: no limit")


class Processes:
    """Processes on this machine that share the store; see :class:`ucbench.Dispatcher` for workers that die."""

    def __init__(self, params: ProcessParams) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """As :meth:`ucbench.running.executors.contract.Executor.run`.

        Raises:
            UsageError: if no process can be started.
        """
        from ucbench.running.executors.dispatcher import Dispatcher

        workers = [ProcessWorker(session.store.root, numerics) for numerics in self._numerics(session.numerics)]
        Dispatcher(tasks, session, on_done, workers, self.params.limit).run()

    def _numerics(self, numerics: Numerics) -> list[Numerics]:
        """One per worker: the run's, with the devices in turn if there are several."""
        if not numerics.device.startswith("cuda"):
            return [numerics] * (self.params.workers or max(1, available_cores() // numerics.threads))
        import torch

        devices = (
            [numerics.device] if ":" in numerics.device else [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        )
        count = self.params.workers or len(devices)
        return [replace(numerics, device=devices[i % len(devices)]) for i in range(count)]


class WaitClock:
    """Counts the seconds that a process waits, where its driver can read them: in shared memory."""

    def __init__(self, context: BaseContext) -> None:
        self._values: Any = context.RawArray("d", 2)  # seconds of earlier waits, and when this one began, or 0

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """Count the time in the block; ``text`` says what it waits for."""
        self._values[1] = monotonic()  # one clock for all processes of a machine
        try:
            yield
        finally:
            # In this order, and read in the other: at no instant is the wait counted nowhere, at one perhaps twice.
            self._values[0] += monotonic() - self._values[1]
            self._values[1] = 0.0

    def seconds(self) -> float:
        began = self._values[1]
        earlier = self._values[0]
        return float(earlier + (monotonic() - began if began else 0.0))


class ProcessWorker(Worker):
    """A process at the other end of a pipe."""

    def __init__(self, home: Path, numerics: Numerics) -> None:
        self._home, self._numerics = home, numerics

    def launch(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share the driver's threads and accelerator
        self._connection, other = spawn.Pipe()
        self._clock = WaitClock(spawn)
        process = spawn.Process(target=_serve, args=(other, self._home, self._numerics, self._clock), daemon=True)
        process.start()
        self._process = process
        other.close()

    def send(self, request: Request) -> None:
        with suppress(OSError):  # the process died while it was idle
            self._connection.send(request)

    def receive(self) -> Reply:
        try:
            if self._connection.poll():
                reply: Reply = self._connection.recv()
                return reply
        except Exception:  # the end of the pipe, or an incomplete message of a process that was killed
            self._process.join(1)
        self.stop()
        raise WorkerError(_cause(self._process.exitcode))

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def waited(self) -> float:
        return self._clock.seconds()

    @classmethod
    def wait(cls, workers: Sequence[Self], seconds: float) -> Collection[Self]:
        ends: dict[Any, Self] = {}
        for worker in workers:
            ends |= dict.fromkeys((worker._connection, worker._process.sentinel), worker)
        reporting = {ends[end] for end in wait(list(ends), seconds)}
        # A process that a component forked keeps the pipe of its dead worker open.
        return reporting | {worker for worker in workers if not worker._process.is_alive()}


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}" + (", perhaps for lack of memory" if code == -9 else "")
    return f"exit code {code}"


def _end_with_driver() -> None:
    """On Linux, have this process killed when its driver dies, even if a job is in the middle of its work."""
    with suppress(OSError, AttributeError):  # another system, or another C library
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    driver = multiprocessing.parent_process()
    if driver is None or os.getppid() != driver.pid:  # it died before
        os._exit(1)


def _serve(connection: Connection, home: Path, numerics: Numerics, clock: WaitClock) -> None:
    """The main function of a worker process: receive requests, send replies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C and stops its workers
    _end_with_driver()
    runner = JobRunner(home, numerics, clock.running)
    with suppress(EOFError, OSError):  # the driver is gone
        connection.send(runner.ready())
        while True:
            connection.send(runner.run(connection.recv()))
