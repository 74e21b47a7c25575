"""One file operation of a process that goes wrong: it dies before, after or within it, or gets an error."""

from __future__ import annotations

import errno
import functools
import io
import multiprocessing
import os
from pathlib import Path
from typing import Any, NamedTuple

CRASHED = 99
#: What can go wrong with an operation; ``torn`` only with writing.
WAYS = ("exit-before", "exit-after", "torn", "ENOSPC", "EACCES")
#: Functions of ``os`` whose first argument is a path.
_OF_PATHS = ("mkdir", "open", "rename", "replace", "rmdir", "unlink", "utime")


class Fault(NamedTuple):
    """What goes wrong.

    Attributes:
        process: "driver", or "worker" for the children that it forks.
        number: of the operation, from 0, among those of such processes.
        way: one of :data:`WAYS`.
    """

    process: str
    number: int
    way: str


class Faults:
    """Counts the operations on files below a folder, in this process and those it forks, and lets one go wrong once."""

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self._folder, self._fault, self._driver = f"{folder}{os.sep}", fault, 0
        self._counts: Any = multiprocessing.RawArray("q", 2)

    def install(self) -> None:
        """Replace the functions, for good: this process ends soon. Those it forks are its workers."""
        self._driver = os.getpid()
        for name in _OF_PATHS:
            self._replace(name, self._concerns)
        # A process that dies loses nothing that it wrote, synchronised or not; a disk that is busy takes seconds.
        os.fsync = lambda descriptor: None
        self._replace("fsync", lambda *args, **options: True)
        original = io.open

        def open_(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) <= set("rbt") or not self._concerns(file):
                return original(file, mode, *args, **options)
            return _File(self.around(functools.partial(original, file, mode, *args, **options)), self)

        io.open = open_

    def _replace(self, name: str, concerns: Any) -> None:
        original = getattr(os, name)

        def operation(*args: Any, **options: Any) -> Any:
            if not concerns(*args, **options):
                return original(*args, **options)
            return self.around(functools.partial(original, *args, **options))

        setattr(os, name, operation)

    def _concerns(self, path: Any, *args: Any, dir_fd: int | None = None, **options: Any) -> bool:
        return dir_fd is not None or (isinstance(path, str | os.PathLike) and str(path).startswith(self._folder))

    def counts(self) -> dict[str, int]:
        return dict(zip(("driver", "worker"), self._counts, strict=True))

    def around(self, run: Any, tear: Any = None) -> Any:
        """Do an operation, unless it is the one that goes wrong; ``tear`` does half of it."""
        is_worker = os.getpid() != self._driver
        number, process = self._counts[is_worker], "worker" if is_worker else "driver"
        self._counts[is_worker] += 1
        way = self._fault.way if self._fault is not None and self._fault[:2] == (process, number) else ""
        if way.isupper():
            raise OSError(getattr(errno, way), os.strerror(getattr(errno, way)))
        if way == "torn" and tear is not None:
            tear()
        if way in ("exit-before", "torn"):
            os._exit(CRASHED)
        result = run()
        if way == "exit-after":
            os._exit(CRASHED)
        return result


class _File:
    """A file whose writing can go wrong."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, data: Any) -> Any:
        def tear() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        return self._faults.around(functools.partial(self._file.write, data), tear)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
