"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def verbosity(command: Command) -> Command:
    """Add ``-v`` and ``-q``, which may stand before or after the command's name."""
    command = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=lambda ctx, param, count: _log_from(logging.INFO if count == 1 else logging.DEBUG, count),
        help="Say more; twice shows where errors were raised.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, param, quiet: _log_from(logging.ERROR, quiet),
        help="Leave out warnings.",
    )(command)


def is_quiet() -> bool:
    """Whether ``-q`` was given."""
    return logging.getLogger("ucbench").level >= logging.ERROR


def _log_from(level: int, given: bool | int) -> None:
    # Not given must not undo what stood before the command's name.
    if given:
        logging.getLogger("ucbench").setLevel(level)
