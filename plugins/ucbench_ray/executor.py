"""Workers on a Ray cluster: the driver's side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from ucbench import Dispatcher, OnDone, Record, Reply, Request, Session, Task, Worker, WorkerError
from ucbench_ray.actor import Actor, Setting
from ucbench_ray.cluster import Share, connected
from ucbench_ray.params import RayParams


class OnRay:
    """Workers on a cluster, each an actor with its share of processors and GPUs.

    A worker can die with its node; :class:`ucbench.Dispatcher` replaces it.
    """

    def __init__(self, params: RayParams) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """Compute every task on the cluster and call ``on_done`` once for each, in this process.

        Raises:
            UsageError: if there is no such cluster, or no worker can be started on it.
        """
        share = Share.of(self.params, session.numerics)
        home = self.params.home or str(Path(session.store.root).absolute())
        setting = Setting.here(home, session.numerics)

        def keep(task: Task, record: Record) -> None:
            on_done(task, record)  # first: the record is written even if the store fails
            _keep(task, record, session)

        with connected(self.params, share) as count:
            actor = ray.remote(Actor).options(num_cpus=share.cpus, num_gpus=share.gpus, max_restarts=0)
            workers = [RayWorker(lambda: actor.remote(setting)) for _ in range(count)]
            waiting = f"Waiting for the cluster to give a worker {share}."
            Dispatcher(tasks, _on_this_machine(session), keep, workers, self.params.limit, waiting).run()


def _on_this_machine(session: Session) -> Session:
    """A session that can describe failures here: the driver of workers on GPUs may not have one."""
    import torch

    if not session.numerics.device.startswith("cuda") or torch.cuda.is_available():
        return session
    return session.with_numerics(replace(session.numerics, device="cpu"))


def _keep(task: Task, record: Record, session: Session) -> None:
    """Put a finished cell into the driver's store, which the workers may not share."""
    if record["status"] != "ok":
        return
    stored = session.store.get("cell", task.key)
    if stored is not None and task.force and stored.meta["cost"] != record["cost"]:  # of an earlier run
        session.store.discard("cell", task.key)
        stored = None
    if stored is None:
        session.store.put("cell", task.key, {}, record)


class RayWorker(Worker):
    """An actor.

    Args:
        make: starts an :class:`ucbench_ray.actor.Actor`.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def launch(self) -> None:
        self._actor: Any = self._make()
        self._reply = self._actor.open.remote()  # a reference; None while nothing is awaited

    def send(self, request: Request) -> None:
        self._reply = self._actor.run.remote(request)

    def receive(self) -> Reply:
        reference, self._reply = self._reply, None
        try:
            reply: Reply = ray.get(reference)
        except RayTaskError as error:
            raise WorkerError(f"{type(error.cause).__name__}: {error.cause}") from error
        except RayError as error:  # its process or its node died, or the connection was lost
            raise WorkerError(str(error).strip().splitlines()[-1]) from error
        return reply

    def stop(self) -> None:
        with suppress(Exception):  # the connection may be what was lost
            ray.kill(self._actor)

    @classmethod
    def wait(cls, workers: Sequence[Self], seconds: float) -> Collection[Self]:
        waiting = {worker._reply: worker for worker in workers if worker._reply is not None}
        replied, _ = ray.wait(list(waiting), timeout=seconds)
        return [waiting[reference] for reference in replied]
