"""Tables of the site's pages: typed columns, fields with sort values, and filters.

A cell is one training, so what a table has where a row meets a column is a field.

Page and script get the same texts, so that a table reads the same with and without JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ucbench.results.columns import BLOCK, ENTRY
from ucbench.results.columns import column as described
from ucbench.results.statistics import Interval


@dataclass(frozen=True)
class TableColumn:
    """A column.

    Attributes:
        key: name in filters and in links to filtered tables.
        title: heading.
        numeric: whether it sorts by the value of its fields instead of their text.
        filtered: whether it has a filter.
        header: whether its fields are row headers.
        constant: whether the caption shows it instead, if all rows have the same text.
        optional: whether the script hides it until the reader asks for it.
    """

    key: str
    title: str
    numeric: bool = False
    filtered: bool = False
    header: bool = False
    constant: bool = False
    optional: bool = False


@dataclass(frozen=True)
class TableField:
    """What a table has where a row meets a column.

    Attributes:
        text: the displayed text.
        value: sort value in a numeric column; None sorts last.
        n: number of seeds behind a number.
        href: linked page, relative to the board's folder (to the site's root in tables over all boards).
        hidden: text for screen readers only, after the text.
        badges: labels after the text.
        bar: low end, mean and high end of a bar beside the number, from 0 to 1.
        fill: colours of background and text.
    """

    text: str
    value: float | None = None
    n: int | None = None
    href: str = ""
    hidden: str = ""
    badges: tuple[str, ...] = ()
    bar: tuple[float, float, float] | None = None
    fill: tuple[str, str] | None = None


@dataclass(frozen=True)
class TableRow:
    """Fields in the order of the columns; ``kind`` is ``""``, ``reference``, ``oracle`` or ``failed``."""

    fields: tuple[TableField, ...]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        id: name within a page.
        constant: texts common to all rows that the caption shows, by column key.
    """

    id: str
    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    constant: Mapping[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """The constant columns in words."""
        titles = {key: AXIS_COLUMN[key].title if key in AXIS_COLUMN else key for key in self.constant}
        return "; ".join(f"{titles[key]} {text}" for key, text in self.constant.items())

    def data(self) -> dict[str, Any]:
        """The rows as JSON values: kind, then fields as text or as a mapping of their non-empty attributes."""
        return {"rows": [[row.kind, [_as_json(one) for one in row.fields]] for row in self.rows]}


def compact(table: Table) -> Table:
    """The table with those of its ``constant`` columns in the caption that have the same text in every row."""
    constant = [
        place
        for place, column in enumerate(table.columns)
        # A blank, such as the label access of references, fits any value.
        if column.constant and len({row.fields[place].text for row in table.rows} - {""}) == 1
    ]

    def varying(items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(item for place, item in enumerate(items) if place not in constant)

    return replace(
        table,
        columns=varying(table.columns),
        rows=tuple(replace(row, fields=varying(row.fields)) for row in table.rows),
        constant={
            table.columns[place].key: next(filter(None, (row.fields[place].text for row in table.rows)))
            for place in constant
        },
    )


@dataclass(frozen=True)
class Filter:
    """One column to filter by, with its texts."""

    key: str
    title: str
    options: tuple[str, ...]


def filters(table: Table, columns: Iterable[TableColumn]) -> list[Filter]:
    """Filters for those ``columns`` in which the table's rows differ."""
    texts = {
        column.key: {row.fields[place].text for row in table.rows} - {""}
        for place, column in enumerate(table.columns)
        if column.filtered
    }
    return [
        Filter(column.key, column.title, tuple(sorted(texts[column.key], key=natural)))
        for column in columns
        if len(texts.get(column.key, ())) > 1
    ]


def number(interval: Interval | None, decimals: int, factor: float = 1.0) -> TableField:
    """A mean with the half-width of its interval and its number of seeds; an empty field without a mean."""
    if interval is None or interval.n == 0 or math.isnan(interval.mean):
        return TableField("")
    return TableField(interval.text(decimals, factor, constant=False), round(factor * interval.mean, 6), interval.n)


def single(value: Any, decimals: int, factor: float = 1.0) -> TableField:
    """A single number; an empty field for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return TableField("")
    return TableField(fixed(factor * value, decimals), round(factor * value, 6))


def fixed(value: float, decimals: int) -> str:
    """The number with this many decimals; zero has no sign."""
    return f"{value:z.{decimals}f}"


def natural(text: str) -> tuple[Any, ...]:
    """Sort key: numbers first, by value, then words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, text.lower(), text)


def _as_json(shown: TableField) -> Any:
    attributes = {"v": shown.value, "n": shown.n, "h": shown.href, "s": shown.hidden, "b": list(shown.badges)}
    present = {name: value for name, value in attributes.items() if value not in (None, "", [])}
    return {"t": shown.text, **present} if present else shown.text


def _axis_column(name: str) -> TableColumn:
    titles = {"budget": "budget", "numerics": "numerics"}
    is_poisoner = name == "poisoner"
    return TableColumn(
        name, titles.get(name) or described(name).heading, filtered=True, header=is_poisoner, constant=not is_poisoner
    )


#: The columns of the matrix's axes, in all tables. A budget stands for its norm and epsilon, a poisoner for its preset
#: too.
AXIS_COLUMNS = tuple(
    _axis_column("budget" if name == "epsilon" else name)
    for name in (*BLOCK, *ENTRY, "defense", "numerics")
    if name not in ("norm", "preset")
)
#: By key.
AXIS_COLUMN = {column.key: column for column in AXIS_COLUMNS}
