"""Templates and what they share: escaping, embedded JSON, and assets."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ucbench.errors import visible_lines
from ucbench.leaderboard.site.table import TableColumn, TableField, TableRow
from ucbench.leaderboard.site.terms import term
from ucbench.results.statistics import ENOUGH_CRAFTS

#: Rows of a long table that are visible at once, all that a page has without JavaScript; and the longest short table.
FIRST_ROWS, LONGEST_SHORT = 100, 200
ASSETS = ("site.css", "tables.js", "compare.js")


class Templates:
    """The site's templates.

    Args:
        values: what all pages know.
    """

    def __init__(self, **values: Any) -> None:
        self._templates = environment("ucbench.leaderboard.site")
        self._templates.globals |= {
            "first_rows": FIRST_ROWS,
            "longest_short": LONGEST_SHORT,
            "fields": fields,
            "embedded": embedded,
            "enough": ENOUGH_CRAFTS,
            "term": term,
            **values,
        }

    def page(self, template: str, path: str, **values: Any) -> bytes:
        """A page at ``path`` below the site's root."""
        root = "../" * path.count("/")
        return self._templates.get_template(template).render(path=path, root=root, **values).encode()


def environment(package: str) -> Environment:
    """The HTML templates of a package, which show text of records, and names of files, by :func:`_finalized`."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # the files' times are not looked up for each page
    )


def _finalized(value: Any) -> Any:
    """What a template shows: text without control characters but line ends, which could hide some of it."""
    return visible_lines(value) if type(value) is str and not value.isprintable() else value


def fields(row: TableRow, columns: Iterable[TableColumn], base: str) -> Markup:
    """The fields of a table's row; written here, since a macro takes several times as long and tables have thousands.

    Args:
        base: leads to the folder that links are relative to.
    """
    return Markup("\n".join(_field(shown, column, base) for shown, column in zip(row.fields, columns, strict=True)))


def _field(shown: TableField, column: TableColumn, base: str) -> str:
    text = _text(shown.text)
    tag, scope = ("th", ' scope="row"') if column.header else ("td", "")
    value = "" if shown.value is None else shown.value
    sort = f' class="number" data-value="{value}"' if column.numeric else f' data-text="{text}"'
    style = f' style="background:{shown.fill[0]};color:{shown.fill[1]}"' if shown.fill else ""
    if shown.hidden:
        text += f'<span class="hidden"> {_text(shown.hidden)}</span>'
    if shown.href:
        text = f'<a href="{_text(base + shown.href)}">{text}</a>'
    if shown.n is not None and not shown.fill:
        text += f" <small>n&nbsp;=&nbsp;{shown.n}</small>"
    if shown.bar:
        low, mid, high = shown.bar
        bar = f'<span class="bar" style="--low:{low};--mid:{mid};--high:{high}" aria-hidden="true"></span>'
        text = f'<span class="drawn">{bar} <span>{text}</span></span>'
    for badge in shown.badges:
        text += f' <span class="badge {_text(badge.rpartition(" ")[2])}">{_text(badge)}</span>'
    return f"<{tag}{scope}{sort}{style}>{text}</{tag}>"


def _text(text: str) -> str:
    return html.escape(text if text.isprintable() else visible_lines(text))


def embedded(value: Any) -> Markup:
    """JSON for a ``<script>`` element, without characters that could end the element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def asset(name: str) -> bytes:
    return (resources.files("ucbench.leaderboard.site") / "assets" / name).read_bytes()
