"""A worker's life on the cluster. Imports no numpy and no torch before its threads are set."""

from __future__ import annotations

import os
import pickle
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ucbench import Job, Numerics, Session

#: Environment variables with these beginnings are the driver's, as in a process that it starts itself.
_INHERITED = ("UCBENCH_", "OMP_", "MKL_", "OPENBLAS_")
#: Ray sets this one to a worker's processors where it is not set: other threads, and sums in another order, than here.
_SET_BY_RAY = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Setting:
    """What a worker needs to open a workbench of its own.

    Attributes:
        home: folder of the store.
        numerics: arithmetic of the run.
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
        """That of this process, but for its store and its device."""
        inherited = {name: value for name, value in os.environ.items() if name.startswith(_INHERITED)}
        return cls(home, numerics, os.getcwd(), tuple(sys.path), {**inherited, "UCBENCH_HOME": home})

    def apply(self) -> None:
        """Make this process as one that the driver started."""
        # Each time: ray sets its variable anew for every call, and libraries read it when they are first used.
        os.environ.update(self.environment)
        if _SET_BY_RAY not in self.environment:
            os.environ.pop(_SET_BY_RAY, None)
        sys.path.extend(entry for entry in self.path if entry not in sys.path)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)


class Worker:
    """A process of the cluster that computes one job at a time; the class of a Ray actor."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._bench: Session | None = None

    def open(self) -> dict[str, str]:
        """Get ready for jobs.

        Returns:
            The versions of what can move a number, as this worker has them.
        """
        self._setting.apply()
        from ucbench import Session, Silent, Store, versions

        self._bench = Session(Store(Path(self._setting.home)), self._setting.numerics, Silent())
        return versions()

    def work(self, packed: bytes) -> Any:
        """Do a pickled :class:`ucbench.running.executors.Job`.

        Returns:
            Of a cell its record, of a release that is there None; or type and text of what went wrong.
        """
        self._setting.apply()
        from ucbench import compute, craft, task_of

        assert self._bench is not None
        job: Job = pickle.loads(packed)
        own = task_of(job.task.cell, self._bench)
        if (own.key, own.release_key) != (job.task.key, job.task.release_key):
            return (
                "NodeDiffers",
                f"The cell has another key on {platform.node()} than on the machine that asked for it: their data,"
                " plugins or versions differ. Install the same everywhere.",
            )
        return craft(job.task, self._bench) if job.kind == "craft" else compute(job.task, self._bench)
