"""``ucbench cache``: the store of releases, surrogates and finished cells."""

from __future__ import annotations

import click

from ucbench.cli.lazy import LazyGroup

COMMANDS = ("ls", "verify", "gc")


@click.group("cache", cls=LazyGroup, names=COMMANDS, package="ucbench.cli.cache")
def command() -> None:
    """See what is in the store, whether it is intact, and remove what is not needed any more."""
