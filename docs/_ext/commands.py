"""The reference of the command line, generated from the commands and the axes.

Replaces ``<!-- commands -->`` in a page by a section for every command, groups within groups included, and
``<!-- axes -->`` by a table of the axes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from _ext.markdown import cell, replace_markers, table
from ucbench.cli.app import cli
from ucbench.matrix.axes import AXES

MARKER = "<!-- commands -->"
AXES_MARKER = "<!-- axes -->"


def commands() -> Iterator[click.Context]:
    """A context for ``ucbench`` and every command below it, in the order of ``--help``."""
    return _below(click.Context(cli, info_name="ucbench", **cli.context_settings))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _below(click.Context(command, parent=context, info_name=name))


def reference() -> str:
    """All commands as Markdown."""
    return "\n\n".join(map(_section, commands()))


def axes() -> str:
    """The axes as a table."""
    return table(
        ["option", "in suites", "in Python", "value", "columns", "meaning"],
        [
            [
                f"`{axis.option}`",
                f"`{axis.key}`",
                f"`{axis.name}`",
                f"{axis.type.expected}{'; repeatable' if axis.repeatable else ''}",
                ", ".join(f"`{column}`" for column in axis.columns),
                axis.help,
            ]
            for axis in AXES
        ],
    )


def inserted(text: str) -> str:
    """The text of a page with the reference and the table in their places."""
    if MARKER in text:
        text = text.replace(MARKER, reference())
    return text.replace(AXES_MARKER, axes())


def _section(context: click.Context) -> str:
    command, path = context.command, context.command_path
    parts = [
        f"## `{path}`",
        _prose(command.help or ""),
        f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```",
    ]
    options = [row for row in (_row(parameter, context) for parameter in command.get_params(context)) if row]
    if options:
        parts.append(table(["option", "meaning"], options))
    return "\n\n".join(part for part in parts if part)


def _row(parameter: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    record = parameter.get_help_record(context)
    if record is None or not record[1]:  # an argument, which the usage shows and the text explains
        return None
    written, meaning = record
    return f"`{cell(written)}`", f"{meaning} Repeatable." if parameter.multiple else meaning


def _prose(text: str) -> str:
    r"""A command's help as Markdown: a paragraph below click's mark ``\b`` is lines of a shell."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            paragraphs.append("\n".join(["```sh", *(line.strip() for line in lines[1:]), "```"]))
        else:
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted, "cli")
