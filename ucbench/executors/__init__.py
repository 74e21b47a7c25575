"""Ways to compute many cells: one after another, or by several processes; and what other ways are made of.

An executor of a plugin takes jobs from a :class:`Schedule`, has :func:`craft` or :func:`compute` do each wherever it
likes, and lands what came of it, or :func:`failed`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucbench.computing import compute, craft, failed
    from ucbench.executors.base import Executor, Landed
    from ucbench.executors.schedule import Job, Schedule
    from ucbench.executors.serial import Serial
    from ucbench.tasks import Task, task_of, title

__all__ = [
    "Executor",
    "Job",
    "Landed",
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
    "Executor": "ucbench.executors.base",
    "Job": "ucbench.executors.schedule",
    "Landed": "ucbench.executors.base",
    "Schedule": "ucbench.executors.schedule",
    "Serial": "ucbench.executors.serial",
    "Task": "ucbench.tasks",
    "compute": "ucbench.computing",
    "craft": "ucbench.computing",
    "failed": "ucbench.computing",
    "task_of": "ucbench.tasks",
    "title": "ucbench.tasks",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
