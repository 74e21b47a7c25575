"""``ucbench``: the commands, and exit codes for errors and interrupts."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click

from ucbench.cli.options import LazyGroup, verbosity
from ucbench.errors import UcbenchError

#: The module of each command, in the order of ``ucbench --help``.
COMMANDS = {
    "run": "run",
    "plan": "plan",
    "list": "catalogue",
    "show": "catalogue",
    "leaderboard": "leaderboard",
    "export": "export",
    "cache": "cache",
    "plugins": "plugins",
    "new-plugin": "plugins",
    "check-plugin": "check_plugin",
    "doctor": "doctor",
}

INTERRUPTED = 130

_log = logging.getLogger(__name__)


@click.group(cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ucbench", message="%(prog)s %(version)s")
@verbosity
def cli() -> None:
    """Craft unlearnable examples, attack them as an exploiter would, and rank the methods."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return its exit code.

    0: done; 1: failed; 2: wrong request; 130: interrupted.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        result = cli.main(args, prog_name="ucbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Finished work is kept; the same command continues.", err=True)
        return INTERRUPTED
    except UcbenchError as error:
        click.echo(f"Error: {error}", err=True)
        _log.debug("Where it was raised:", exc_info=error)
        return error.exit_code
    return result if isinstance(result, int) else 0
