"""Tables as lines of plain text, for terminals, pipes and prompts."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.errors import visible

#: Columns of a terminal that running text gets before optional columns do.
_PROSE_WIDTH = 30

#: The texts of each column, by title.
Texts = dict[str, list[str]]


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines with cells, one line each, padded to the width of their columns."""
    cells = [[one_line(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def one_line(text: str) -> str:
    """The text with white space as single spaces, and without characters that a terminal obeys."""
    return visible(" ".join(text.split()))


def by_title(header: Sequence[str], lines: Sequence[Sequence[str]]) -> Texts:
    """The columns of a table that are not empty."""
    texts = {title: [line[place] for line in lines] for place, title in enumerate(header)}
    return {title: cells for title, cells in texts.items() if any(cells)}


def fits(columns: Texts, width: int, prose: str = "") -> bool:
    """Whether a terminal of this width shows the columns, with the text of the column ``prose`` wrapped."""
    widths = {title: 2 + max(len(title), *map(len, cells)) for title, cells in columns.items()}
    if prose in widths:
        widths[prose] = min(widths[prose], 2 + _PROSE_WIDTH)
    return sum(widths.values()) <= width


def fitted(columns: Texts, optional: Sequence[str], width: int, prose: str = "") -> Texts:
    """The columns without as many of the ``optional`` ones as the width requires, the first of them first."""
    shown = dict(columns)
    for title in optional:
        if fits(shown, width, prose):
            break
        shown.pop(title, None)
    return shown
