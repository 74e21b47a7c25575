"""A group of commands whose modules are imported only when a command is named."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from ucbench.errors import did_you_mean


class LazyGroup(click.Group):
    """Imports a command's module when the command is named, and suggests near names for unknown ones.

    Args:
        names: of the commands, in the order of ``--help``; each is the ``command`` of the module of that name.
        package: where those modules lie.
    """

    def __init__(self, *args: Any, names: Sequence[str], package: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._names = list(names)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._names:
            return None
        module = importlib.import_module(f"{self._package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._names and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{did_you_mean(name, self._names)}", ctx)
        return super().resolve_command(ctx, args)
