"""Progress for files and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from ucbench.errors import visible_lines
from ucbench.progress.base import Silent, finished

#: Seconds between two lines about the run.
EVERY = 30.0


class Lines(Silent):
    """For files and pipes: a line per cell, and one at the end of a bar; until then ever fewer, at first every
    ``every`` seconds."""

    def __init__(self, stream: TextIO, every: float = 15.0) -> None:
        self._stream, self._every = stream, every
        self._begun = self._count = 0

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        started = last = time.monotonic()
        done = 0

        def advance(steps: int) -> None:
            nonlocal done, last
            done += steps
            now = time.monotonic()
            if done >= total:
                self.say(f"{text}: done in {now - started:.1f} s")
            elif done and now - last >= max(self._every, (now - started) / 10):
                last = now
                seconds = (now - started) / done * (total - done)
                self.say(f"{text}: {done}/{total}, about {seconds:.0f} s left")

        return advance

    def cells(self, count: int, left: Callable[[float], str]) -> Callable[[], None]:
        self._begun, self._count = 0, count
        started = last = time.monotonic()
        done = 0

        def advance() -> None:
            nonlocal done, last
            done += 1
            now = time.monotonic()
            if done == count:
                self.say(finished(count, now - started))
            elif now - last >= EVERY:
                last = now
                self.say(", ".join(filter(None, (f"{done} of {count} cells are done", left(0.0)))) + ".")

        return advance

    def cell(self, text: str) -> None:
        self._begun = min(self._begun + 1, self._count)  # a cell is begun again if its worker died
        self.say(f"[{self._begun}/{self._count}] {text}")

    def say(self, text: str) -> None:
        with suppress(OSError):  # the log may be on a full disk or a closed terminal: the run goes on
            print(visible_lines(text), file=self._stream, flush=True)
