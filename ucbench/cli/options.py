"""Options that several commands share."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def plugin_files(command: Command) -> Command:
    """Add ``--plugin FILE.py``; while the command runs, these files are plugins like the installed ones."""

    @functools.wraps(command)
    def with_files(*args: Any, plugin: tuple[str, ...], **options: Any) -> Any:
        from ucbench.registry import trying

        with trying(plugin):
            return command(*args, **options)

    option = click.option(
        "--plugin",
        metavar="FILE.py",
        type=click.Path(exists=True, dir_okay=False),
        multiple=True,
        help="Load a single file as a plugin, for a quick try; may be repeated.",
    )
    return cast(Command, option(with_files))


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
