"""The DataFrame of a run: every column, and the summary of ``ucbench run`` as its view."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from ucbench.errors import DataError
from ucbench.matrix.axes import AXES
from ucbench.plugins.specs import OWN_PLATFORM
from ucbench.results.columns import COLUMNS, DTYPES, uninert
from ucbench.results.records import Record, readable, records_in
from ucbench.results.table import SAME_WORLD, columns, columns_with_errors, rows, with_units
from ucbench.results.text import TextColumn, fitted, screen_width, table_lines, wrapped
from ucbench.results.view import View, view

#: Rows that agree in these columns are the same request.
_REQUEST = [column for axis in AXES for column in axis.columns]
#: Columns that are never empty.
_KNOWN = [name for name in (*_REQUEST, "status") if name not in ("epsilon", "craft_seed")]
#: Columns that older files lack, and what they stand for there.
_LATER = {"platform": OWN_PLATFORM, "purity": math.nan, "measured_rms": math.nan}


class Results(pd.DataFrame):  # type: ignore[misc]
    """One row per cell, with the columns of results.csv, and ``error`` where a cell failed.

    At the prompt and in a notebook it shows what ``ucbench run`` prints: poisoners beside their references, averaged
    over seeds. All columns are in the frame. Rows of it, copies and concatenations are Results too; a selection that
    lacks a column of results.csv is a plain DataFrame. Where columns were renamed, or two rows have the same request
    (they differ in data or numerics, or one is there twice), it shows the rows as pandas does.
    """

    @property
    def _constructor(self) -> Any:
        return _results_or_frame

    def __repr__(self) -> str:
        if (summary := self._view()) is None:
            return str(super().__repr__())
        width = screen_width()
        notes = (line for note in summary.notes for line in wrapped(note, width, "  "))
        return "\n".join([*table_lines(fitted(summary.columns, width)[0], width), *notes])

    def _repr_html_(self) -> str | None:
        if (summary := self._view()) is None:
            html: str | None = super()._repr_html_()
            return html
        return _html(fitted(summary.columns, None)[0], summary.notes)

    def _view(self) -> View | None:
        """The summary of the rows, as long as pandas' option ``display.max_rows`` allows; None where there is none."""
        table = pd.DataFrame(self)
        # Columns may have been renamed or filled with anything since.
        if table.empty or not _is_whole(table):
            return None
        metrics = table[columns(table)[len(COLUMNS) :]]
        if (
            any(table[name].dtype != dtype for name, dtype in DTYPES.items())
            or metrics.shape != metrics.select_dtypes("number").shape
            or table[_KNOWN].isna().any(axis=None)
            or table.duplicated(_REQUEST).any()
        ):
            return None
        summary = view(with_units(table).assign(**dict.fromkeys(SAME_WORLD, "")))
        count = len(summary.columns[0].cells)
        longest = pd.get_option("display.max_rows") or count
        hidden = count - longest
        notes = [f"Not shown: {hidden} more lines."] if hidden > 0 else []
        notes += [*summary.notes, f"{len(self)} cells; the frame has {len(self.columns)} columns."]
        shown = [replace(column, cells=column.cells[:longest]) for column in summary.columns]
        return View(shown, notes)


def _results_or_frame(*args: Any, **kwargs: Any) -> pd.DataFrame:
    """What pandas makes of a selection: Results while no column of results.csv is missing, a plain frame otherwise."""
    frame = pd.DataFrame(*args, **kwargs)
    return Results(frame) if _is_whole(frame) else frame


def _is_whole(frame: pd.DataFrame) -> bool:
    return bool(frame.columns.is_unique and frame.columns.isin(COLUMNS).sum() == len(COLUMNS))


def _html(columns: Sequence[TextColumn], notes: Sequence[str]) -> str:
    """A table with its notes as caption; names are arbitrary text, so everything is escaped."""
    heads = "".join(f"<th>{escape(column.title)}</th>" for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    caption = "<br>".join(map(escape, notes))
    return (
        f'<table><caption style="caption-side: bottom; text-align: left">{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def results(records: Iterable[Record]) -> Results:
    """One row per record."""
    table = rows(records)
    return Results(table[columns_with_errors(table)])


def read(path: Path) -> Results:
    """The rows of a leaderboard, a run's ``--out``, a folder of records, or a results.csv.

    Raises:
        DataError: if there are no records, or something cannot be read.
    """
    if path.is_file():
        return Results(_read_csv(path))
    if not (path / "records").is_dir() and (records := list(readable(sorted(path.glob("[!.]*.json"))))):
        return results(records)
    return results(records_in(path))


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path,
            dtype=DTYPES,
            keep_default_na=False,
            na_values=[""],
            dtype_backend="numpy_nullable",
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    for name, value in _LATER.items():
        if name not in table:
            table[name] = value
    if missing := [name for name in COLUMNS if name not in table]:
        raise DataError(f"{path} is not a results.csv: it lacks the columns {', '.join(missing)}.")
    table = table[columns(table)]
    texts = [name for name, dtype in DTYPES.items() if dtype == "string"]
    table = table.assign(**{name: table[name].map(uninert, na_action="ignore").astype("string") for name in texts})
    # Missing numbers are NaN, in requested metrics too.
    return table.astype(dict.fromkeys(table.select_dtypes("Float64"), float))
