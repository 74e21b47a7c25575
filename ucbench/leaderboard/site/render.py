"""Templates and what they share: escaping, embedded JSON, and assets."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ucbench.errors import visible_lines
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
        self._templates = Environment(
            loader=PackageLoader("ucbench.leaderboard.site"),
            autoescape=True,
            finalize=_finalized,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "first_rows": FIRST_ROWS,
            "longest_short": LONGEST_SHORT,
            "embedded": embedded,
            "enough": ENOUGH_CRAFTS,
            **values,
        }

    def page(self, template: str, path: str, **values: Any) -> bytes:
        """A page at ``path`` below the site's root."""
        root = "../" * path.count("/")
        return self._templates.get_template(template).render(path=path, root=root, **values).encode()


def _finalized(value: Any) -> Any:
    """What a template shows: text of records without control characters but line ends."""
    return visible_lines(value) if type(value) is str else value


def embedded(value: Any) -> Markup:
    """JSON for a ``<script>`` element, without characters that could end the element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def asset(name: str) -> bytes:
    return (resources.files("ucbench.leaderboard.site") / "assets" / name).read_bytes()
