"""What receives the progress of a run, and durations as text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


def duration(seconds: float) -> str:
    """A readable duration: 90 seconds, 20 minutes, 3.5 hours."""
    if seconds < 120:
        return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def finished(count: int, seconds: float) -> str:
    """The line at the end of a run."""
    return f"{count} cell{'s' * (count > 1)} done in {duration(seconds)}."


class Progress(Protocol):
    """Receives the progress of a run: its cells, and their stages."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        """Open a bar of ``total`` steps; call the result with a number of steps to advance. A full bar closes."""

    def stage(self, text: str) -> AbstractContextManager[None]:
        """Name what is done in the block, whose length is unknown."""

    def cells(self, count: int, left: Callable[[float], str]) -> Callable[[], None]:
        """Begin a run of ``count`` cells; call the result whenever one is done.

        Args:
            left: says how long the rest takes, given a number of seconds that it takes at least: ``about 3 minutes
                left``, or nothing.
        """

    def cell(self, text: str) -> None:
        """Name a cell of the run that is begun."""

    def say(self, text: str) -> None:
        """Print one line that stays."""


class Silent:
    """Reports nothing; the default of the Python API."""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        return lambda steps: None

    def stage(self, text: str) -> AbstractContextManager[None]:
        return nullcontext()

    def cells(self, count: int, left: Callable[[float], str]) -> Callable[[], None]:
        return lambda: None

    def cell(self, text: str) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""
