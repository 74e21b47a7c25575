"""Tables as the site's pages show them: typed columns, cells with what they sort by, and what filters offer.

Page and script are given the same texts, so that a table reads the same with and without JavaScript.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ucbench.results.columns import column as described
from ucbench.results.statistics import Interval


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in filters and in links to filtered tables.
        title: its heading.
        numeric: whether it sorts by its cells' values rather than by their texts.
        filtered: whether a filter is offered for it.
        header: whether its cells head their rows.
        constant: whether it is left out, and said once, where all rows have the same text.
    """

    key: str
    title: str
    numeric: bool = False
    filtered: bool = False
    header: bool = False
    constant: bool = False


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: as it is shown.
        value: what a numeric column sorts by; None sorts last.
        n: how many seeds a number rests on.
        href: the page it links to, relative to the site's root.
        hidden: what a screen reader says after the text.
        badges: remarks after it.
        bar: low end, mean and high end on a scale from 0 to 1, drawn beside the number.
    """

    text: str
    value: float | None = None
    n: int | None = None
    href: str = ""
    hidden: str = ""
    badges: tuple[str, ...] = ()
    bar: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Row:
    """Cells in the order of the columns; ``kind`` is ``""``, ``reference``, ``oracle`` or ``failed``."""

    cells: tuple[Cell, ...]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        id: its name within a page.
        where: what the caption says further to those who do not see the heading above it.
        shared: texts that all rows have in common and the page says elsewhere, by the columns' keys.
        constant: texts that all rows have in common and the caption says, by the columns' keys.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shared: Mapping[str, str] = field(default_factory=dict)
    constant: Mapping[str, str] = field(default_factory=dict)
    where: str = ""

    @property
    def everywhere(self) -> Mapping[str, str]:
        """What filters know of every row, though no column shows it."""
        return {**self.shared, **self.constant}

    @property
    def note(self) -> str:
        """What all rows have in common, in words."""
        return "; ".join(f"{_TITLES.get(key, key)} {text}" for key, text in self.constant.items())

    def data(self) -> dict[str, Any]:
        """The rows as JSON values: kind, then cells as text or as a mapping of what they have."""
        return {"rows": [[row.kind, [_as_json(cell) for cell in row.cells]] for row in self.rows]}


def compact(table: Table) -> Table:
    """The table without those of its ``constant`` columns that say the same in every row."""
    same = {
        place: column
        for place, column in enumerate(table.columns)
        if column.constant and len({row.cells[place].text for row in table.rows}) == 1
    }
    return replace(
        table,
        columns=tuple(column for place, column in enumerate(table.columns) if place not in same),
        rows=tuple(
            replace(row, cells=tuple(cell for place, cell in enumerate(row.cells) if place not in same))
            for row in table.rows
        ),
        constant={column.key: table.rows[0].cells[place].text for place, column in same.items()},
    )


@dataclass(frozen=True)
class Filter:
    """One axis to filter by, with the values it has."""

    key: str
    title: str
    options: tuple[str, ...]


def filters(tables: Iterable[Table], columns: Iterable[Column]) -> list[Filter]:
    """The axes among ``columns`` in which the tables' rows differ."""
    tables = list(tables)
    found = []
    for column in columns:
        options = {text for table in tables for text in _texts(table, column.key)}
        if column.filtered and len(options) > 1:
            found.append(Filter(column.key, column.title, tuple(sorted(options, key=natural))))
    return found


def number(interval: Interval | None, decimals: int, factor: float = 1.0) -> Cell:
    """A mean with the half-width of its interval and its seeds; an empty cell where there is none."""
    if interval is None or interval.n == 0 or math.isnan(interval.mean):
        return Cell("")
    text = _unsigned(interval.text(decimals, factor, constant=False))
    return Cell(text, round(factor * interval.mean, 6), interval.n)


def plain(value: Any, decimals: int, factor: float = 1.0) -> Cell:
    """A single number; an empty cell for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return Cell("")
    return Cell(fixed(factor * value, decimals), round(factor * value, 6))


def fixed(value: float, decimals: int) -> str:
    """The number with so many decimals; zero has no sign."""
    return _unsigned(f"{value:.{decimals}f}")


def _unsigned(text: str) -> str:
    """The text of a number without the sign of zero."""
    return text[1:] if re.match(r"-[0.]+( |$)", text) else text


def natural(text: str) -> tuple[Any, ...]:
    """Sorts numbers by value and before words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, text.lower(), text)


def _texts(table: Table, key: str) -> Iterable[str]:
    places = [place for place, column in enumerate(table.columns) if column.key == key]
    if places:
        return (row.cells[places[0]].text for row in table.rows)
    return [table.everywhere[key]] if key in table.everywhere else []


def _as_json(cell: Cell) -> Any:
    short = {"v": cell.value, "n": cell.n, "h": cell.href, "s": cell.hidden, "b": list(cell.badges)}
    given = {name: value for name, value in short.items() if value not in (None, "", [])}
    return {"t": cell.text, **given} if given else cell.text


def _axis(name: str, title: str = "", **kind: bool) -> Column:
    return Column(name, title or described(name).heading, filtered=True, **kind)


#: The axes, in the words of every table.
AXES: Sequence[Column] = (
    *(_axis(name, constant=True) for name in ("dataset", "labeling", "victim")),
    _axis("budget", "budget", constant=True),
    *(_axis(name, constant=True) for name in ("mixture", "trusted", "label_access")),
    _axis("poisoner", header=True),
    *(_axis(name, constant=True) for name in ("surrogate", "craft_labels", "defense")),
    _axis("numerics", "arithmetic", constant=True),
)
_TITLES = {column.key: column.title for column in AXES}
