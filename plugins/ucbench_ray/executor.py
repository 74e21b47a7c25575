"""Workers on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ray

from ucbench import OnDone, Schedule, Session, Task
from ucbench_ray.cluster import Share, connected
from ucbench_ray.foreman import Foreman, Hand
from ucbench_ray.params import RayParams
from ucbench_ray.worker import Setting, Worker


class OnRay:
    """Workers on a cluster, each an actor with its share of processors and GPUs.

    A worker that dies, with or without its node, or exceeds the limit costs its own job only: another takes its place.
    A job whose worker died is begun once more, and a second death is recorded as its failure.
    """

    def __init__(self, params: RayParams) -> None:
        self.params = params

    def run(self, tasks: Sequence[Task], session: Session, on_done: OnDone) -> None:
        """As :meth:`ucbench.running.executors.Executor.run`.

        Raises:
            UsageError: if there is no such cluster, or no worker can be started on it.
        """
        share = Share.of(self.params, session.numerics)
        keys = {task.release_key for task in tasks if task.release_key is not None}
        crafted = {key for key in keys if session.store.get("release", key) is not None}
        home = self.params.home or str(Path(session.store.root).absolute())
        # On a GPU of its own, whatever its number on the node.
        setting = Setting.here(home, replace(session.numerics, device=session.numerics.device.partition(":")[0]))
        with connected(self.params, share) as count:
            actor = ray.remote(Worker).options(num_cpus=share.cpus, num_gpus=share.gpus, max_restarts=0)
            team = [Hand(lambda: actor.remote(setting)) for _ in range(min(count, max(1, len(tasks))))]
            foreman = Foreman(
                Schedule(tasks, crafted), team, session, on_done, len(tasks), self.params.limit, str(share)
            )
            try:
                foreman.work()
            finally:
                for hand in team:
                    hand.stop()
