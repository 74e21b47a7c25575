"""Progress of long work: one live view of the run on a terminal, lines in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ucbench.progress.base import Progress, Silent, duration
from ucbench.progress.lines import Lines

__all__ = ["Lines", "Progress", "Silent", "duration", "reporting"]


@contextmanager
def reporting(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Progress]:
    """Report to ``stream``: a live view on a terminal, lines elsewhere and on a dumb one, nothing if ``quiet``."""
    stream = stream or sys.stderr
    if quiet:
        yield Silent()
    elif stream.isatty() and os.environ.get("TERM") != "dumb":
        from ucbench.progress.live import live

        with live(stream) as progress:
            yield progress
    else:
        yield Lines(stream)
