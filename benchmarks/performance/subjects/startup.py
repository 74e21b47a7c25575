"""Seconds from the shell to the end of a command that computes nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from subjects.base import Measured, Side


class _Command(Side):
    arguments: tuple[str, ...]

    def measure(self) -> Measured:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ucbench", *self.arguments], check=True, stdout=subprocess.DEVNULL)
        return Measured(time.perf_counter() - started, 0)


class Help(_Command):
    arguments = ("--help",)


class List(_Command):
    arguments = ("list",)
