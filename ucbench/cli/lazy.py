"""Groups of commands that import a command's module only when it is needed, and the look of ``--help``."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from ucbench.errors import did_you_mean

#: Panels of ``--help``, in this order; others come beside OUTPUT, options without a panel first.
WHAT, DATA, PROTECTOR, EXPLOITER = "What to run", "Data", "Protector", "Exploiter (attacker)"
MACHINE, OUTPUT, GENERAL = "Machine", "Output", "General"
_PANELS = (None, WHAT, DATA, PROTECTOR, EXPLOITER, MACHINE, OUTPUT, GENERAL)


class Value(str):
    """A default to show as the value that it is, not in parentheses like a description."""

    __slots__ = ()


class LazyGroup(TyperGroup):
    """Imports a command's module when the command runs, and suggests similar names for unknown ones.

    The modules import heavy libraries (torch, numpy, pandas) inside their functions. The group's ``-v`` and ``-q`` are
    valid after the command's name too.

    Attributes:
        modules: module in ``ucbench.cli`` by command, in the order of ``--help``. The module's ``app`` has a command
            of this name, or is the group of this name.
    """

    modules: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        if cmd_name not in self.modules:
            return None
        app = importlib.import_module(f"ucbench.cli.{self.modules[cmd_name]}").app
        group = typer.main.get_group(app)
        command = group.commands.get(cmd_name, group)
        assert isinstance(command, (TyperCommand, TyperGroup))
        if command is group:
            command.rich_help_panel = app.rich_help_panel
        command.params += [param for param in self.params if param.name in ("verbose", "quiet")]
        tidy(command, ctx)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.modules and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}.{did_you_mean(name, self.modules)}")
        return super().resolve_command(ctx, args)


def lazy(modules: Mapping[str, str]) -> type[LazyGroup]:
    """A group of these commands, for ``Typer(cls=...)``; see :attr:`LazyGroup.modules`."""
    return type("Commands", (LazyGroup,), {"modules": modules})


def tidy(command: TyperCommand | TyperGroup, ctx: Any) -> None:
    """Put a command's help in order: paragraphs and examples, panels, and flags without a type."""
    help_option = command.get_help_option(ctx)
    for param in (*command.params, help_option):
        if isinstance(param, TyperOption) and (param.is_flag or param.count):
            param.metavar = ""
            param.rich_help_panel = param.rich_help_panel or (GENERAL if param is help_option else None)
        if isinstance(param, TyperOption) and isinstance(param.show_default, Value):
            # Typer puts every text in parentheses.
            vars(param)["_get_default_string"] = lambda *, text=param.show_default, **_: text
    command.params.sort(key=lambda param: _place(getattr(param, "rich_help_panel", None)))
    # The terminal's width breaks paragraphs; indented lines are examples.
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(_example(part) if part[:1] == " " else part.replace("\n", " ") for part in paragraphs)


def _place(panel: str | None) -> int:
    return 0 if panel is None else _PANELS.index(panel if panel in _PANELS else OUTPUT)


def _example(lines: str) -> str:
    # In markup, as the spaces before a text that begins with them would be stripped.
    return f"[not dim]{textwrap.indent(textwrap.dedent(lines), '  ')}[/]"
