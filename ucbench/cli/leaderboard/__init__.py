"""``ucbench leaderboard``: what is published of a suite. One module a command, as in ``ucbench.cli``."""

from __future__ import annotations

import click

from ucbench.cli.lazy import LazyGroup

COMMANDS = ("build", "check", "diff", "submit", "export", "plot", "site", "tiers")


@click.group("leaderboard", cls=LazyGroup, names=COMMANDS, package="ucbench.cli.leaderboard")
def command() -> None:
    """Build leaderboards from records, check, compare and publish them."""
