"""Progress of long work: bars with time left on a terminal, a few readable lines in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO


def duration(seconds: float) -> str:
    """Seconds as people say them: 90 seconds, 20 minutes, 3.5 hours."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


class Progress(Protocol):
    """Where stages report how far they are."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        """Open a bar; the result advances it by the number it is called with. A bar closes when full."""

    def say(self, text: str) -> None:
        """One line that stays."""


class Silent:
    """Reports nothing; what the Python API uses unless asked otherwise."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        return lambda steps: None

    def say(self, text: str) -> None:
        """Say nothing."""


class Lines:
    """For files and pipes: a line when a stage ends, and one every ``every`` seconds while it lasts."""

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
                left = (now - started) / done * (total - done)
                self.say(f"{text}: {done}/{total}, about {left:.0f} s left")

        return advance

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


@contextmanager
def reporting(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Progress]:
    """Choose by where the output goes: rich bars on a terminal, lines elsewhere, nothing when ``quiet``."""
    stream = stream or sys.stderr
    if quiet:
        yield Silent()
    elif stream.isatty():
        with _bars(stream) as progress:
            yield progress
    else:
        yield Lines(stream)


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
            left = total

            def advance(steps: int) -> None:
                nonlocal left
                left -= steps
                if left > 0:
                    display.advance(task, steps)
                elif task in display.task_ids:
                    display.remove_task(task)

            return advance

        def say(self, text: str) -> None:
            display.console.print(text, markup=False, highlight=False)

    with display:
        yield Bars()
