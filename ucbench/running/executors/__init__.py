"""Executors compute many cells: one after another, in several processes, or wherever a plugin takes them.

An executor that computes in this process calls :func:`compute` for each task and hands the record to ``on_done``. One
with workers implements :class:`Worker`, the driver's end of its transport, and gives such workers to a
:class:`Dispatcher`; at the other end a :class:`JobRunner` answers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucbench.running.compute import compute, failed
    from ucbench.running.executors.dispatcher import Dispatcher
    from ucbench.running.executors.serial import Executor, OnDone, Serial
    from ucbench.running.executors.worker import JobRunner, Reply, Request, Worker, WorkerError
    from ucbench.running.tasks import Task, task_of, title

__all__ = [
    "Dispatcher",
    "Executor",
    "JobRunner",
    "OnDone",
    "Reply",
    "Request",
    "Serial",
    "Task",
    "Worker",
    "WorkerError",
    "compute",
    "failed",
    "task_of",
    "title",
]

# Importing these imports numpy, and some of them torch: neither may happen before a worker's threads are set.
_LAZY = {
    "Dispatcher": "ucbench.running.executors.dispatcher",
    "Executor": "ucbench.running.executors.serial",
    "JobRunner": "ucbench.running.executors.worker",
    "OnDone": "ucbench.running.executors.serial",
    "Reply": "ucbench.running.executors.worker",
    "Request": "ucbench.running.executors.worker",
    "Serial": "ucbench.running.executors.serial",
    "Task": "ucbench.running.tasks",
    "Worker": "ucbench.running.executors.worker",
    "WorkerError": "ucbench.running.executors.worker",
    "compute": "ucbench.running.compute",
    "failed": "ucbench.running.compute",
    "task_of": "ucbench.running.tasks",
    "title": "ucbench.running.tasks",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
