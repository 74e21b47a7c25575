"""``ucbench``: the commands, and exit codes for errors and interrupts."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, TextIO

import typer

from ucbench.cli.completion import prepare
from ucbench.cli.lazy import GENERAL, LazyGroup, lazy, tidy
from ucbench.cli.streams import standard_streams, with_home
from ucbench.errors import UcbenchError, visible_lines
from ucbench.running.interruption import interruptible

#: The module of each command, in the order of ``ucbench --help``.
COMMANDS = {
    "run": "run",
    "plan": "plan",
    "analyze": "analyze",
    "list": "catalogue",
    "show": "show",
    "report": "report",
    "leaderboard": "leaderboard",
    "protect": "protect",
    "export": "export",
    "push": "push",
    "plugins": "plugins",
    "new-plugin": "plugins",
    "check-plugin": "check_plugin",
    "cache": "cache",
    "doctor": "doctor",
}

INTERRUPTED = 130
#: What shells add to the number of a signal.
SIGNALLED = 128
#: What shells report for a tool that SIGPIPE ended.
CLOSED_PIPE = 141

_log = logging.getLogger(__name__)


def _log_from(level: int, is_set: bool | int) -> None:
    # An option that is not set after the command's name must not undo the one before it.
    if is_set:
        logging.getLogger("ucbench").setLevel(level)


def _verbose(count: int) -> None:
    _log_from(logging.INFO if count == 1 else logging.DEBUG, count)


def _quiet(quiet: bool) -> None:
    _log_from(logging.ERROR, quiet)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"ucbench {importlib.metadata.version('ucbench')}")
        raise typer.Exit


app = typer.Typer(cls=lazy(COMMANDS), no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
_BRIEF: dict[str, Any] = {"expose_value": False, "show_default": False, "rich_help_panel": GENERAL}


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.", **_BRIEF)
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", callback=_verbose, count=True,
                     help="Print more; twice shows where errors were raised.", **_BRIEF),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", callback=_quiet, help="Print no warnings and no progress.", **_BRIEF)
    ] = False,
) -> None:  # fmt: skip
    """Craft unlearnable examples, attack them as an exploiter would, and rank the methods."""


cli = typer.main.get_command(app)
assert isinstance(cli, LazyGroup)
tidy(cli, typer.Context(cli, **cli.context_settings))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that time: a live view has it replaced, to stay below."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        raise AttributeError("standard error is set in sys")


class _Visible(logging.Formatter):
    """Shows control characters of what is logged, such as names in records, as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        return visible_lines(super().format(record))


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return its exit code.

    0: done; 1: failed; 2: wrong request; 130: interrupted (129 by SIGHUP, 143 by SIGTERM); 141: the reader of its
    output ended.
    """
    handler = _Handler()
    handler.setFormatter(_Visible("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    with interruptible() as received:
        result = _run([with_home(argument) for argument in (sys.argv[1:] if args is None else args)])
    if result == INTERRUPTED:
        with suppress(OSError):  # the terminal may be closed
            typer.echo("Interrupted. Finished work is kept; the same command continues.", err=True)
        return SIGNALLED + received[0] if received else INTERRUPTED
    return result


def _run(args: Sequence[str]) -> int:
    try:
        with standard_streams():
            prepare()
            result = cli.main(args, prog_name="ucbench", standalone_mode=False)
    except typer.TyperException as error:
        _print(error)
        return error.exit_code
    except UcbenchError as error:
        _print(typer.TyperException(str(error)))
        _log.debug("Where it was raised:", exc_info=error)
        return error.exit_code
    except SystemExit as error:
        # Typer exits with 1 once nobody reads the output.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return CLOSED_PIPE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _print(error: typer.TyperException) -> None:
    """Print an error below the usage that it is about: framed on a terminal, unbroken lines in logs."""
    # Typer's choices are checked by pydantic, which says so.
    if not (text := visible_lines(error.format_message().replace("Value error, ", ""))):  # help was printed instead
        return
    if context := getattr(error, "ctx", None):
        typer.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.panel import Panel
        from rich.text import Text

        Console(stderr=True).print(Panel(Text(text), title="Error", title_align="left", border_style="red"))
    else:
        typer.echo(f"Error: {text}", err=True)
