"""Tables for web pages: a self-contained HTML fragment."""

from __future__ import annotations

import re
from html import escape

from ucbench.leaderboard.entries import Leaderboard
from ucbench.leaderboard.layout import Line, Section, sections
from ucbench.leaderboard.legend import legend
from ucbench.plugins.params import Params

#: Names and commands in Markdown.
_CODE = re.compile("`([^`]*)`")


class Html:
    """One ``section`` element with a heading and one table per block; no script or style, also valid XML."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, leaderboard: Leaderboard, title: str) -> str:
        texts = (_CODE.sub(r"<code>\1</code>", escape(item)) for item in legend(leaderboard))
        items = "".join(f"<li>{text}</li>" for text in texts)
        parts = ["<section>", f"<h2>{escape(title)}</h2>"]
        for section in sections(leaderboard):
            parts += _table(section)
        return "\n".join([*parts, f"<ul>{items}</ul>" if items else "", "</section>"]) + "\n"


def _table(section: Section) -> list[str]:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.headers)
    return [
        "<table>",
        f"<caption>{escape(section.heading)}. {escape(section.note)}</caption>",
        f"<thead><tr>{heads}</tr></thead>",
        "<tbody>",
        *(_row(section, line) for line in section.lines),
        "</tbody>",
        "</table>",
    ]


def _row(section: Section, line: Line) -> str:
    cells = [
        f'<th scope="row">{escape(text)}</th>' if name == "poisoner" else f"<td>{escape(text)}</td>"
        for name, text in zip(section.headers, section.row(line), strict=True)
    ]
    return f"<tr>{''.join(cells)}</tr>"
