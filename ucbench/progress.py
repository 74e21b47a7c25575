"""Progress of long work: bars with the time left on a terminal, lines in a file."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from ucbench.errors import visible_lines


def duration(seconds: float) -> str:
    """A readable duration: 90 seconds, 20 minutes, 3.5 hours."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


class Progress(Protocol):
    """Receives the progress of stages."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        """Open a bar of ``total`` steps; call the result with a number of steps to advance. A full bar closes."""

    def say(self, text: str) -> None:
        """Print one line that stays."""


class Silent:
    """Reports nothing; the default of the Python API."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        return lambda steps: None

    def say(self, text: str) -> None:
        """Do nothing."""


class Lines:
    """For files and pipes: one line at the end of a stage, and one every ``every`` seconds until then."""

    def __init__(self, stream: TextIO, every: float = 15.0) -> None:
        self._stream, self._every = stream, every

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        started = last = time.monotonic()
        done = 0

        def advance(steps: int) -> None:
            nonlocal done, last
            done += steps
            now = time.monotonic()
            if done >= total:
                self.say(f"{text}: done in {now - started:.1f} s")
            elif done and now - last >= self._every:
                last = now
                seconds = (now - started) / done * (total - done)
                self.say(f"{text}: {done}/{total}, about {seconds:.0f} s left")

        return advance

    def say(self, text: str) -> None:
        with suppress(OSError):  # the log may be on a full disk or a closed terminal: the run goes on
            print(visible_lines(text), file=self._stream, flush=True)


@contextmanager
def reporting(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Progress]:
    """Report to ``stream``: bars on a terminal or in a notebook with ipywidgets, lines elsewhere, nothing if quiet."""
    stream = stream or sys.stderr
    if quiet:
        yield Silent()
    elif stream.isatty() or (in_notebook() and importlib.util.find_spec("ipywidgets")):
        with _bars(stream) as progress:
            yield progress
    else:
        yield Lines(stream)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@contextmanager
def _bars(stream: TextIO) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    display = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )

    class Bars:
        def bar(self, text: str, total: int) -> Callable[[int], None]:
            task = display.add_task(text, total=total)
            remaining = total

            def advance(steps: int) -> None:
                nonlocal remaining
                remaining -= steps
                if remaining > 0:
                    display.advance(task, steps)
                elif task in display.task_ids:
                    display.remove_task(task)

            return advance

        def say(self, text: str) -> None:
            display.console.print(visible_lines(text), markup=False, highlight=False)

    with display:
        yield Bars()
