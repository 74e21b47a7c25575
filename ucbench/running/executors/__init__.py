"""Ways to compute many cells: one after another, or by several processes; and what other ways are made of.

An executor of a plugin takes jobs from a :class:`Schedule`, has :func:`craft` or :func:`compute` do each wherever it
likes, and lands what came of it, or :func:`failed`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucbench.running.compute import compute, craft, failed
    from ucbench.running.executors.base import Executor, OnDone
    from ucbench.running.executors.schedule import Job, Schedule
    from ucbench.running.executors.serial import Serial
    from ucbench.running.tasks import Task, task_of, title

__all__ = [
    "Executor",
    "Job",
    "OnDone",
    "Schedule",
    "Serial",
    "Task",
    "compute",
    "craft",
    "failed",
    "task_of",
    "title",
]

# Computing imports torch, which parameters of executors, in this package, must do without.
_LAZY = {
    "Executor": "ucbench.running.executors.base",
    "Job": "ucbench.running.executors.schedule",
    "OnDone": "ucbench.running.executors.base",
    "Schedule": "ucbench.running.executors.schedule",
    "Serial": "ucbench.running.executors.serial",
    "Task": "ucbench.running.tasks",
    "compute": "ucbench.running.compute",
    "craft": "ucbench.running.compute",
    "failed": "ucbench.running.compute",
    "task_of": "ucbench.running.tasks",
    "title": "ucbench.running.tasks",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
