"""Distributions that pip builds and installs without a network, and processes that have them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def pip(command: str, *arguments: str | Path) -> None:
    """``install`` or ``wheel``, with what is installed here for building."""
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", command, *offline, *map(str, arguments)], check=True)


def install(site: Path, sources: Iterable[Path]) -> None:
    pip("install", "--target", site, *sources)


def environment_with(site: Path) -> dict[str, str]:
    """The environment of a process that has what is installed in ``site``."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}


def output(environment: dict[str, str], *arguments: str) -> str:
    """Standard output of a Python process that must succeed."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
