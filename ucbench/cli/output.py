"""Printing: rich tables on a terminal, complete aligned text in a pipe or file, JSON; sizes and ages as text."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from ucbench.errors import visible_lines
from ucbench.results.text import aligned, by_title, fits, fitted

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def print_json(value: Any) -> None:
    """Print a JSON value, indented; floats with ten significant digits."""
    typer.echo(json.dumps(_rounded(value), indent=2))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, Mapping):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(member) for member in value]
    return value


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, optional: Sequence[str] = (), prose: str = ""
) -> bool:
    """Print rows of text below a header, without empty columns.

    Args:
        optional: titles of columns that a terminal too narrow for the table leaves out, the first of them first.
        prose: title of the one column whose text a terminal wraps between words; none: all columns wrap.

    Returns:
        Whether columns of ``optional`` were left out.
    """
    columns = by_title(header, [list(row) for row in rows])
    if not sys.stdout.isatty():
        if columns:
            _print_plain([[title.upper() for title in columns], *zip(*columns.values(), strict=True)])
        return False
    width = shutil.get_terminal_size().columns
    shown = fitted(columns, optional, width, prose)
    whole = [title for title in shown if title != prose] if prose and fits(shown, width, prose) else []
    _print_rich(list(shown), list(zip(*shown.values(), strict=True)), whole)
    return len(shown) < len(columns)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print one ``label  value`` per line, without empty values."""
    lines = [[label, value] for label, value in facts if value]
    if sys.stdout.isatty():
        _print_rich(None, lines)
    else:
        _print_plain(lines)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    for line in aligned(lines):
        typer.echo(line)


def _print_rich(titles: Sequence[str] | None, lines: Sequence[Sequence[str]], whole: Sequence[str] = ()) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(title, no_wrap=title in whole) for title in titles or ()]
    # One space of padding and one between columns: the two that `fits` counts.
    table = Table(*columns, box=box.SIMPLE_HEAD, show_header=titles is not None, padding=(0, 1, 0, 0), pad_edge=False)
    for line in lines:
        # Text rather than str: brackets in a cell are not markup.
        table.add_row(*(Text(visible_lines(cell), overflow="fold") for cell in line))
    Console().print(table)


def as_text(value: Any) -> str:
    """A value as written in a reference: ``none``, ``true``, ``75/90``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "/".join(as_text(part) for part in value)
    return str(value)


def as_bytes(text: str) -> int:
    """A number of bytes such as 500MB or 10GB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|b|[kmgt]b?)", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 500MB or 10GB.")
    return int(float(match[1]) * _BYTES[match[2].removesuffix("b")])


def as_seconds(text: str) -> float:
    """An age such as 12h, 30d or 2w, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not an age such as 12h, 30d or 2w.")
    return float(match[1]) * _SECONDS[match[2]]


def size_text(count: int) -> str:
    """Bytes in the largest unit with a value of at least 1."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def age_text(seconds: float) -> str:
    """Seconds in the largest unit with a value of at least 1, up to days."""
    for unit, length in reversed(_SECONDS.items()):
        if seconds >= length and unit != "w":
            return f"{seconds / length:.0f} {unit}"
    return "0 s"
