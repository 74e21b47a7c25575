"""Poisoners that disturb whoever runs them, beside the small cells of ``ucbench.testing``."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time
from pathlib import Path

from ucbench import PoisonerSpec, hookimpl
from ucbench.plugins import builtin
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry
from ucbench.testing.cells import SmallPlugin, Spots


class Deadly(Spots):
    """Kills its own process."""

    def craft(self, train, run):
        os.kill(os.getpid(), signal.SIGKILL)


class Endless(Spots):
    """Writes into the file ENDLESS_MARK which process has begun it, and never comes to an end."""

    def craft(self, train, run):
        Path(os.environ["ENDLESS_MARK"]).write_text(str(os.getpid()))
        while True:
            time.sleep(1)


class Forking(Spots):
    """Forks, and lets the fork return too where a worker runs it."""

    def craft(self, train, run):
        if multiprocessing.parent_process() is not None:
            os.fork()
        return super().craft(train, run)


class Quitting(Spots):
    """Raises what otherwise only the user of a terminal raises."""

    def craft(self, train, run):
        raise KeyboardInterrupt("by a plugin")


class Plugin(SmallPlugin):
    @hookimpl
    def ucbench_poisoners(self):
        yield from super().ucbench_poisoners()
        for made in (Deadly, Endless, Forking, Quitting):
            name = made.__name__.lower()
            yield PoisonerSpec(name=name, summary="", load=f"{__name__}:{made.__name__}", granularity="universal")


@functools.lru_cache(maxsize=1)
def registry() -> Registry:
    core = load_module("ucbench", builtin, "ucbench", "0")
    return Registry([core, load_module("small", Plugin(), "ucbench", "0")], registry)
