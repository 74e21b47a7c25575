"""A worker's process on the cluster. It imports numpy and torch only after its threads are set."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ucbench import JobRunner, Numerics, Reply, Request

#: Prefixes of the environment variables that a worker takes over, as a process started by the driver does.
_INHERITED = ("UCBENCH_", "OMP_", "MKL_", "OPENBLAS_")
#: Ray sets this one to a worker's processors if it is not set; other threads sum in another order.
_SET_BY_RAY = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Setting:
    """What a worker's process takes over from the driver.

    Attributes:
        home: folder of the store.
        numerics: of the run.
        folder: the driver's working folder, which relative paths of components start from.
        path: the driver's module search path.
        environment: variables of the driver that a worker has too.
    """

    home: str
    numerics: Numerics
    folder: str
    path: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls, home: str, numerics: Numerics) -> Setting:
        """The setting of this process, with the given store and numerics."""
        inherited = {name: value for name, value in os.environ.items() if name.startswith(_INHERITED)}
        return cls(home, numerics, os.getcwd(), tuple(sys.path), {**inherited, "UCBENCH_HOME": home})

    def apply(self) -> None:
        """Make this process like one that the driver started."""
        # For every call: ray sets its variable again each time, and libraries read it when they are first used.
        os.environ.update(self.environment)
        if _SET_BY_RAY not in self.environment:
            os.environ.pop(_SET_BY_RAY, None)
        sys.path.extend(entry for entry in self.path if entry not in sys.path)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)


class Actor:
    """A process of the cluster that does one job at a time; the class of a Ray actor."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._runner: JobRunner | None = None

    def open(self) -> Reply:
        """Get ready for jobs."""
        self._setting.apply()
        from ucbench import JobRunner

        self._runner = JobRunner(self._setting.home, self._setting.numerics)
        return self._runner.ready()

    def run(self, request: Request) -> Reply:
        """As :meth:`ucbench.JobRunner.run`."""
        self._setting.apply()
        assert self._runner is not None
        return self._runner.run(request)
