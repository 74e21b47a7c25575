"""Printing: tables and facts for any width, JSON; sizes and ages as text."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from ucbench.results.text import TextColumn, chosen, facts_lines, fitted, screen_width, table_lines, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from ucbench.results.records import Record

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def print_json(value: Any) -> None:
    """Print a JSON value, indented; floats with ten significant digits."""
    typer.echo(json.dumps(_rounded(value), indent=2))


def json_fields(value: Any) -> dict[str, Any]:
    """The fields of a named tuple as JSON values, with null for NaN."""
    return {
        name: None if isinstance(field, float) and math.isnan(field) else field
        for name, field in value._asdict().items()
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, Mapping):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(member) for member in value]
    return value


@dataclass(frozen=True)
class TableLayout:
    """What ``--columns`` and ``--wide`` ask of a table."""

    columns: str | None = None
    wide: bool = False

    @property
    def names(self) -> list[str]:
        """The names of columns, in order; empty for those that fit."""
        return [name.strip() for name in (self.columns or "").split(",") if name.strip()]


#: The columns that fit.
FITTING = TableLayout()


def print_table(columns: Sequence[TextColumn], layout: TableLayout = FITTING, elsewhere: str = "") -> None:
    """Print columns of text side by side: the same ones in the same form on a terminal of a width and in a pipe.

    Without a width (a pipe, if COLUMNS is not set), and with ``--wide``, nothing is left out or broken over lines.
    Where columns are left out, a line says how many, and where they are: ``elsewhere``, beside ``--wide``.

    Raises:
        UsageError: if the layout names other columns.
    """
    width = None if layout.wide else screen_width()
    shown, left_out = (chosen(columns, layout.names), 0) if layout.names else fitted(columns, width)
    if not any(column.cells for column in shown):
        return
    rule = "─" if _can_print("─") else "-"
    lines = table_lines(shown, width, rule)
    below = next(place for place, line in enumerate(lines) if set(line) <= {rule, " "})
    for place, line in enumerate(lines):
        typer.echo(line if place > below else _styled(line, "bold" if place < below else "dim"))
    if left_out:
        typer.echo(f"{left_out} more column{'s' * (left_out > 1)}: {', '.join(filter(None, ('--wide', elsewhere)))}")


def print_summary(table: pd.DataFrame, layout: TableLayout = FITTING, elsewhere: str = "") -> None:
    """Print the summary of ``ucbench run`` for rows of :func:`ucbench.results.table.rows`; see :func:`print_table`."""
    from ucbench.results.view import view

    summary = view(table)
    print_table(summary.columns, layout, elsewhere)
    print_notes(*summary.notes)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print one ``label  value`` per line, without empty values."""
    if lines := [(label, value) for label, value in facts if value]:
        for line in facts_lines(lines, screen_width()):
            typer.echo(line)


def print_notes(*notes: str) -> None:
    """Print sentences, broken between words where the screen has a width; ``\\n`` at the start is an empty line."""
    for note in notes:
        if note.startswith("\n"):
            typer.echo()
        for line in wrapped(note.removeprefix("\n"), screen_width(), "  "):
            typer.echo(line)


def print_failures(records: Iterable[Record]) -> None:
    """Print to standard error which cells failed, and why, as the progress of a run does unless it is quiet."""
    from ucbench.matrix.from_record import poisoner_of
    from ucbench.matrix.names import titled
    from ucbench.progress import Lines
    from ucbench.results.records import failure_text

    failures = [
        f"failed: {titled(record['request'], poisoner_of(record['request']))}: {failure_text(record)}"
        for record in records
        if record["status"] != "ok"
    ]
    for line in dict.fromkeys(failures):  # two names of the same images may be requested
        Lines(sys.stderr).say(line)


def _styled(text: str, style: Literal["bold", "dim"]) -> str:
    plain = not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb"
    return text if plain else typer.style(text, bold=style == "bold" or None, dim=style == "dim" or None)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


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
