"""The cluster: starting or joining it, a worker's share of it, and how many workers it has room for."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from ucbench import Numerics, UsageError, available_cores
from ucbench_ray.params import RayParams

# Ray reads these when it is imported or starts a cluster. Values that the user has set stay.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage reports
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`: no copy of the working folder, no second environment
    "RAY_worker_niceness": "0",  # workers of low priority would be slower than processes
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

#: Bytes of shared memory of a cluster started here. Jobs and records are small; Ray's minimum is 75 MiB.
OBJECT_STORE = 96 * 2**20
#: Attempts to start: Ray waits 30 seconds for its processes, too short on a machine that is busy reading its files.
STARTS = 2


@dataclass(frozen=True)
class Share:
    """The resources of a node that one worker takes."""

    cpus: int
    gpus: float

    @classmethod
    def of(cls, params: RayParams, numerics: Numerics) -> Share:
        """As the parameters say, or as much as a worker with these numerics can use.

        Raises:
            UsageError: for a GPU named by its number, which the cluster assigns, or for cuda without a share of a GPU.
        """
        on_cuda = numerics.device.startswith("cuda")
        if ":" in numerics.device:
            raise UsageError(f"The cluster assigns its GPUs, so none can be named. Use cuda, not {numerics.device}.")
        gpus = float(on_cuda) if params.gpus is None else params.gpus
        if on_cuda and not gpus:
            raise UsageError("Workers on cuda need a GPU or a part of one, such as gpus=0.5.")
        return cls(params.cpus or numerics.threads, gpus)

    def __str__(self) -> str:
        return f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")

    def places(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """How many workers these nodes, as Ray lists them, have room for while nothing else runs there."""
        total = 0
        for node in nodes:
            if node["Alive"]:
                resources = node["Resources"]
                by_gpu = resources.get("GPU", 0) // self.gpus if self.gpus else float("inf")
                total += int(min(resources.get("CPU", 0) // self.cpus, by_gpu))
        return total


@contextmanager
def connected(params: RayParams, share: Share) -> Iterator[int]:
    """Connect to a cluster inside the block, and yield how many workers to have.

    It is the cluster that this process is connected to already, or the one at ``address`` (by default the environment
    variable RAY_ADDRESS), or one on this machine that lasts as long as the block. Ray prints messages about dead
    workers to standard output, where tables go; inside the block they go to standard error.

    Raises:
        UsageError: if no cluster answers at the address, or if this machine has no room for one worker.
    """
    with redirect_stdout(sys.stderr):
        if ray.is_initialized():
            yield _count(params, share)
            return
        address = params.address or os.environ.get("RAY_ADDRESS")
        try:
            with _own_sigterm():
                if address in (None, "local"):
                    _start(params, share)
                else:
                    _join(address)
            yield _count(params, share)
        finally:
            ray.shutdown()  # ends a cluster that was started here, and leaves any other one running


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM after ray.init: Ray's aborts, and a cluster ends with its driver anyway."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def start(cpus: int, gpus: int | None) -> None:
    """Start a cluster on this machine with so many processors and GPUs (None: Ray counts them), and connect to it.

    Raises:
        UsageError: if it does not start.
    """
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:  # of no particular class if its processes take longer than 30 seconds
            ray.shutdown()
            if attempt == STARTS:
                raise UsageError(
                    f"Ray could not start a cluster on this machine: {error} Try again when it is less busy, or start"
                    " one by `ray start --head` and join it by address=auto."
                ) from error


def _start(params: RayParams, share: Share) -> None:
    # All requested workers run at once, as with processes, even if there are fewer cores.
    start(max(available_cores(), share.cpus * (params.workers or 1)), None if share.gpus else 0)
    if not share.places(ray.nodes()):
        raise UsageError(f"A worker needs {share}, which this machine does not have.")


def _join(address: str) -> None:
    if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise UsageError('Addresses of the form ray:// need Ray\'s client. Run: pip install "ray[client]"')
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise UsageError(
            f"No Ray cluster can be joined at {address}: {error}. One that asks for a token, as those of Ray 2.59"
            " and later may, is joined with RAY_AUTH_MODE=token and its token where Ray looks for it."
        ) from error


def _count(params: RayParams, share: Share) -> int:
    # A cluster that grows with its work may be empty at first.
    return params.workers or max(1, share.places(ray.nodes()))
