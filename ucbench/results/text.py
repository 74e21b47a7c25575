"""Tables as text of any width: what is left out, and what is broken over lines, but never a number."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ucbench.errors import UsageError, did_you_mean, visible

#: Spaces between columns.
_GAP = "  "
#: The first characters of a name, which stay together, and most letters that do where names may be broken anywhere.
_HEAD = 8
#: How narrow a column may become, from the first way to the last: names stay whole, are broken behind separators, are
#: broken within words; and prose keeps so many characters.
_WHOLE, _SOFT, _HARD = range(3)
_PROSE = (30, 30, 16)
#: Names are broken over lines before a column of this rank or a lower one is left out.
_WORTH = 2
#: Where a name may be broken: behind separators, and behind hyphens between letters; within words too, not in numbers.
_SEPARATOR = r"[:,+@/_ ]+|(?<=[^\W\d])-(?=[^\W\d])|$"
_NAME_PARTS = {
    _SOFT: re.compile(rf".+?(?:{_SEPARATOR})"),
    _HARD: re.compile(rf".+?(?:{_SEPARATOR}|=|(?<=[^\W\d_]{{{_HEAD}}})(?=[^\W\d_]))"),
}
_WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class TextColumn:
    """One column of a table.

    Attributes:
        title: its heading.
        cells: its texts; a narrow screen breaks them at ``\\n``, a wide one has a space there.
        kind: numbers are aligned to the right and never broken; names are broken behind separators if there is no
            other way, prose between words.
        rank: 0 for a column shown at any width; the higher, the earlier it is left out.
        name: another name to choose it by, such as its name in results.csv.
        on_request: whether it is shown only if it is chosen.
    """

    title: str
    cells: Sequence[str]
    kind: Literal["name", "number", "prose"] = "name"
    rank: int = 0
    name: str = ""
    on_request: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be chosen by."""
        return (self.name, self.title) if self.name else (self.title,)


def screen_width() -> int | None:
    """Characters of a line: of the variable COLUMNS, else of the terminal; None for pipes and files, without limit."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def chosen(columns: Sequence[TextColumn], names: Sequence[str]) -> list[TextColumn]:
    """The columns of these names or titles, in this order; upper case and underscores do not matter.

    Raises:
        UsageError: if there is no such column.
    """
    known = {_plain(name): column for column in columns for name in column.names}
    for name in names:
        if _plain(name) not in known:
            every = [column.names[0] for column in columns]
            near = did_you_mean(name, [name for column in columns for name in column.names])
            raise UsageError(f"There is no column {name!r}.{near} Columns: {', '.join(every)}.")
    return [known[_plain(name)] for name in names]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def telling_apart(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """As few of ``names`` as tell the rows apart that all of them tell apart; the first are kept before the others."""

    def kinds(names: Sequence[str]) -> int:
        return len({tuple(str(row[name]) for name in names) for row in rows})

    needed = list(names)
    for name in reversed(names):
        rest = [one for one in needed if one != name]
        if kinds(rest) == kinds(needed):
            needed = rest
    return needed


def fitted(columns: Iterable[TextColumn], width: int | None) -> tuple[list[TextColumn], int]:
    """The columns that a screen of this width shows, and how many it leaves out.

    Empty columns, and those shown only if chosen, do not count.
    """
    shown = [column for column in columns if any(column.cells) and not column.on_request]
    if width is None:
        return shown, 0
    sized = [(column, {way: _least(column, way) for way in (_WHOLE, _SOFT)}) for column in shown]
    while last := max((column.rank for column, _ in sized), default=0):
        if _sum(sizes[_WHOLE if last > _WORTH else _SOFT] for _, sizes in sized) <= width:
            break
        sized = [(column, sizes) for column, sizes in sized if column.rank < last]
    return [column for column, _ in sized], len(shown) - len(sized)


def table_lines(columns: Sequence[TextColumn], width: int | None = None, rule: str = "─") -> list[str]:
    """The columns below their headings and a rule, one line per row unless a cell is broken; at least one column."""
    cleaned = [replace(column, cells=[_clean(cell, width) for cell in column.cells]) for column in columns]
    blocks = []
    for column, size in zip(cleaned, _widths(cleaned, width), strict=True):
        broken = [_packed(_WORD, column.title, size), *(_cell(column, cell, size) for cell in _aligned(column))]
        blocks.append([[_justified(line, size, column.kind) for line in lines] for lines in broken])
    sizes = [max(text_width(line) for lines in block for line in lines) for block in blocks]
    rows = list(zip(*blocks, strict=True))
    head = max(map(len, rows[0]))
    rows[0] = tuple([*[""] * (head - len(lines)), *lines] for lines in rows[0])
    lines = [line for row in rows for line in _side_by_side(row, sizes)]
    return [*lines[:head], _GAP.join(rule * size for size in sizes), *lines[head:]]


def facts_lines(facts: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """One ``label  value`` per line; values are wrapped between words, beside their label."""
    label = max(text_width(one_line(name)) for name, _ in facts)
    rest = None if width is None else max(width - label - len(_GAP), _PROSE[_WHOLE])
    rows = [([one_line(name)], wrapped(one_line(value), rest)) for name, value in facts]
    return [line for row in rows for line in _side_by_side(row, [label, 0])]


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """The text in lines of at most ``width`` characters, broken between words, all but the first indented."""
    text = visible(text)
    start = text[: len(text) - len(text.lstrip())]
    if width is None or text_width(text) <= width:
        return [text]
    first, *rest = _packed(_WORD, text.lstrip(), width - len(start + indent)) or [""]
    return [start + first, *(start + indent + line for line in rest)]


def one_line(text: str) -> str:
    """The text with white space as single spaces, and without characters that a terminal obeys."""
    return visible(" ".join(text.split()))


def counted(count: int, noun: str) -> str:
    """``1 record`` or ``2 records``, for the noun ``record``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def text_width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def _sum(widths: Iterable[int]) -> int:
    return sum(width + len(_GAP) for width in widths) - len(_GAP)


def _clean(cell: str, width: int | None) -> str:
    return one_line(cell) if width is None else "\n".join(map(one_line, cell.split("\n")))


def _longest(cells: Iterable[str]) -> int:
    return max((text_width(line) for cell in cells for line in cell.split("\n")), default=0)


def _title(column: TextColumn) -> int:
    """Width of the title in two lines."""
    size = max((text_width(word) for word in column.title.split()), default=0)
    while len(_packed(_WORD, column.title, size)) > 2:
        size += 1
    return size


def _least(column: TextColumn, way: int) -> int:
    """The least width of a column, with names whole or broken."""
    cells = _longest(_aligned(column))
    if column.kind == "prose":
        cells = min(cells, _PROSE[way])
    elif column.kind == "name" and way != _WHOLE:
        lines = [line for cell in column.cells for line in cell.split("\n")]
        cells = max(text_width(part) + (place > 0) for line in lines for place, part in enumerate(_parts(line, way)))
    return max(cells, _title(column))


def _widths(columns: Sequence[TextColumn], width: int | None) -> list[int]:
    """Whole columns if they fit; else titles in two lines; else as few broken names as possible."""
    full = [max(text_width(column.title), _longest(_aligned(column))) for column in columns]
    if width is None or _sum(full) <= width:
        return full
    for way in (_WHOLE, _SOFT, _HARD):
        widths = [_least(column, way) for column in columns]
        if _sum(widths) <= width:
            break
    room = width - _sum(widths)
    goals = [full[place] if column.kind == "prose" else _least(column, _WHOLE)
             for place, column in enumerate(columns)]  # fmt: skip
    for place in sorted(range(len(columns)), key=lambda place: goals[place] - widths[place]):
        # Wider, but still broken, helps prose alone.
        if goals[place] - widths[place] <= room or columns[place].kind == "prose":
            extra = max(min(goals[place] - widths[place], room), 0)
            widths[place] += extra
            room -= extra
    return widths


def _parts(name: str, way: int) -> list[str]:
    """The pieces of a name that stay whole."""
    parts = _NAME_PARTS[way].findall(name) or [""]
    while len(parts) > 1 and len(parts[0]) < _HEAD:
        parts[:2] = [parts[0] + parts[1]]
    return parts


def _packed(pattern: re.Pattern[str], text: str, width: int) -> list[str]:
    """As many words on each line as it has room for; at least one line."""
    return _filled(pattern.findall(text), width)


def _filled(parts: Sequence[str], width: int, indent: str = "") -> list[str]:
    lines = [""]
    for part in parts:
        if lines[-1].strip() and text_width((lines[-1] + part).rstrip()) > width:
            lines.append(indent)
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _cell(column: TextColumn, cell: str, width: int) -> list[str]:
    lines = []
    for line in cell.split("\n"):
        if text_width(line) <= width or column.kind == "number":
            lines.append(line)
        elif column.kind == "prose":
            lines += _packed(_WORD, line, width)
        else:
            soft, hard = (_filled(_parts(line, way), width, " ") for way in (_SOFT, _HARD))
            lines += soft if _longest(soft) <= width else hard
    return lines


def _aligned(column: TextColumn) -> Sequence[str]:
    """The cells; numbers with and without an interval padded, so that the ± of all are in one place."""
    if column.kind != "number":
        return column.cells
    halves = [cell.partition(" ± ") for cell in column.cells]
    longest = max((len(sign + half) for _, sign, half in halves), default=0)
    return [mean + (sign + half).ljust(longest) if mean else "" for mean, sign, half in halves]


def _justified(text: str, width: int, kind: str) -> str:
    return " " * (width - text_width(text)) + text if kind == "number" else text


def _side_by_side(cells: Sequence[Sequence[str]], sizes: Sequence[int]) -> list[str]:
    lines = []
    for place in range(max(map(len, cells))):
        texts = [cell[place] if place < len(cell) else "" for cell in cells]
        padded = (text + " " * (size - text_width(text)) for text, size in zip(texts, sizes, strict=True))
        lines.append(_GAP.join(padded).rstrip())
    return lines
