"""Printing: rich tables on a terminal; complete, aligned text in a pipe or file; JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print a JSON value, indented."""
    click.echo(json.dumps(value, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text below a header; columns that are empty throughout are left out."""
    table = [list(row) for row in rows]
    used = [i for i in range(len(header)) if any(row[i] for row in table)]
    lines = [[row[i] for i in used] for row in table]
    titles = [header[i] for i in used]
    if sys.stdout.isatty():
        _print_rich(titles, lines)
    elif lines:
        _print_plain([[title.upper() for title in titles], *lines])


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print one ``label  value`` a line; facts without a value are left out."""
    lines = [[label, value] for label, value in facts if value]
    if sys.stdout.isatty():
        _print_rich(None, lines)
    else:
        _print_plain(lines)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    cells = [[" ".join(cell.split()) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(titles: Sequence[str] | None, lines: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles or (), box=box.SIMPLE_HEAD, show_header=titles is not None, pad_edge=False)
    for line in lines:
        # Text rather than str: brackets in a cell are not markup.
        table.add_row(*(Text(cell, overflow="fold") for cell in line))
    Console().print(table)
