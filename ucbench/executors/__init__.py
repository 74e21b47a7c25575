"""Ways to compute many cells: one after another, or by several processes."""

from ucbench.executors.base import Executor, Landed
from ucbench.executors.serial import Serial

__all__ = ["Executor", "Landed", "Serial"]
