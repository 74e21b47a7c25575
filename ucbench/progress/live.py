"""The live view of a run on a terminal: the cell at hand, its stage, and the whole run with the time left.

::

    ⠹ photos | uc linf 8 | airbench@small | seed 0
      crafting        ━━━━━━━━━━━━━━━╸━━━━━━━━━━━  1200/3000  40 seconds left
      3 of 12 cells   ━━━━━━╸━━━━━━━━━━━━━━━━━━━━  about 12 minutes left
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ucbench.errors import visible, visible_lines
from ucbench.progress.base import duration, finished

#: Repaints a second. The seconds that have passed are shown, so that nothing ever looks stuck.
_RATE = 4
#: Seconds after which a bar's pace is trusted.
_PACE = 1.0


@dataclass(eq=False)
class _Stage:
    """What is done now: ``done`` of ``total`` steps; None if their number is unknown."""

    text: str
    total: int | None = None
    done: int = 0
    started: float = field(default_factory=lambda: time.monotonic())

    @property
    def passed(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds, at the pace so far."""
        if not self.total or not self.done or self.passed < _PACE:
            return None
        return self.passed / self.done * (self.total - self.done)


class View:
    """Implements :class:`ucbench.progress.Progress`; a console prints it again and again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._idle = _Stage("preparing")
        self._stages: list[_Stage] = []
        self._cell = ""
        self._count = self._done = 0
        self._left: Callable[[float], str] = lambda seconds: ""

    def bar(self, text: str, total: int) -> Callable[[int], None]:
        stage = _Stage(text, total)
        self._stages.append(stage)

        def advance(steps: int) -> None:
            stage.done += steps
            if stage.done >= total and stage in self._stages:
                self._stages.remove(stage)

        return advance

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        stage = _Stage(text)
        self._stages.append(stage)
        try:
            yield
        finally:
            if stage in self._stages:
                self._stages.remove(stage)

    def cells(self, count: int, left: Callable[[float], str]) -> Callable[[], None]:
        self._count, self._done, self._left = count, 0, left
        started = time.monotonic()

        def advance() -> None:
            self._done += 1
            self._stages.clear()  # a bar that a failure or an early end left open
            self._idle = _Stage("computing")
            if self._done == count:
                self._count, self._cell, self._idle = 0, "", _Stage("writing results")
                self.say(finished(count, time.monotonic() - started))

        return advance

    def cell(self, text: str) -> None:
        self._cell = visible(text)
        self._idle = _Stage("computing")

    def say(self, text: str) -> None:
        for line in visible_lines(text).split("\n"):
            start = line[: len(line) - len(line.lstrip())]
            shown = textwrap.fill(
                line.lstrip(), self._console.width, initial_indent=start, subsequent_indent=f"{start}  ",
                break_on_hyphens=False,
            )  # fmt: skip
            self._console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stage = self._stages[-1] if self._stages else self._idle
        # A terminal echoes Ctrl-C behind the last line; were that line broken, a part of the view would stay.
        rows = Table.grid(padding=(0, 2, 0, 0), expand=True)
        rows.width = options.max_width - len("^C")
        rows.add_column(no_wrap=True, min_width=13)
        rows.add_column(ratio=1)
        rows.add_column(no_wrap=True, min_width=25)  # as long as most texts, so that the bars keep their length
        steps = "" if stage.total is None else f"{stage.done}/{stage.total}  "
        seconds = duration(stage.passed) if stage.left is None else f"{duration(stage.left)} left"
        rows.add_row(f"  {visible(stage.text)}", _bar(stage.done, stage.total), steps + seconds)
        if self._count:
            cells = f"  {self._done} of {self._count} cell{'s' * (self._count > 1)}"
            rows.add_row(cells, _bar(self._done, self._count), self._left(stage.left or 0.0))
        title = Table.grid(padding=(0, 1, 0, 0))
        title.add_column()
        title.add_column(no_wrap=True, overflow="ellipsis")
        title.add_row(self._spinner, Text(self._cell or "ucbench"))
        yield title
        yield rows


def _bar(done: int, total: int | None) -> ProgressBar:
    return ProgressBar(total=total, completed=done, pulse=total is None)


@contextmanager
def live(stream: TextIO) -> Iterator[View]:
    """Show a view on a terminal within the block; only what it says stays there."""
    console = Console(file=stream)
    view = View(console)
    # Standard output may be a file; what others print to standard error stays above the view.
    with Live(view, console=console, refresh_per_second=_RATE, transient=True, redirect_stdout=False):
        yield view
