"""Progress of long work: one live view of the run on a terminal, lines in a file."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ucbench.progress.base import Progress, Silent, duration
from ucbench.progress.lines import Lines

__all__ = ["Lines", "Progress", "Silent", "duration", "in_notebook", "reporting"]


@contextmanager
def reporting(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Progress]:
    """Report to ``stream``: a live view on a terminal or in a notebook with ipywidgets, nothing if quiet, else lines.

    A dumb terminal gets lines too.
    """
    stream = stream or sys.stderr
    if quiet:
        yield Silent()
    elif _is_live(stream):
        from ucbench.progress.live import live

        with live(stream) as progress:
            yield progress
    else:
        yield Lines(stream)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _is_live(stream: TextIO) -> bool:
    if in_notebook():
        return importlib.util.find_spec("ipywidgets") is not None
    return stream.isatty() and os.environ.get("TERM") != "dumb"
