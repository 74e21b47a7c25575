"""The reference of the command line, generated from the commands and the axes.

Replaces ``<!-- commands -->`` in a page by a section for every command, groups within groups included, and
``<!-- axes -->`` by a table of the axes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from _ext.markdown import replace_markers, table
from ucbench.cli.app import cli
from ucbench.matrix.axes import AXES

MARKER = "<!-- commands -->"
AXES_MARKER = "<!-- axes -->"


def commands() -> Iterator[typer.Context]:
    """A context for ``ucbench`` and every command below it, in the order of ``--help``."""
    return _below(typer.Context(cli, info_name="ucbench", **cli.context_settings))


def _below(context: typer.Context) -> Iterator[typer.Context]:
    yield context
    group = context.command
    if isinstance(group, TyperGroup):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _below(typer.Context(command, parent=context, info_name=name))


def reference() -> str:
    """All commands as Markdown."""
    return "\n\n".join(map(_section, commands()))


def axes() -> str:
    """The axes as a table."""
    return table(
        ["option", "in suites", "in Python", "value", "default", "columns", "meaning"],
        [
            [
                f"`{axis.option}`",
                f"`{axis.key}`",
                f"`{axis.name}`",
                f"{axis.type.expected}{'; repeatable' if axis.repeatable else ''}",
                axis.default_shown,
                ", ".join(f"`{column}`" for column in axis.columns),
                axis.meaning,
            ]
            for axis in AXES
        ],
    )


def inserted(text: str) -> str:
    """The text of a page with the reference and the table in their places."""
    if MARKER in text:
        text = text.replace(MARKER, reference())
    return text.replace(AXES_MARKER, axes())


def _section(context: typer.Context) -> str:
    command, path = context.command, context.command_path
    parts = [
        f"## `{path}`",
        inspect.getdoc(command.callback) if command.callback else command.help,
        f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```",
    ]
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [(f"`{record[0].strip()}`", record[1]) for record in records if record]
    parts.append(table(["argument or option", "meaning"], rows))
    return "\n\n".join(part for part in parts if part)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
