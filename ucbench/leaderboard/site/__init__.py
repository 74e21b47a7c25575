"""The static site of a leaderboard: tables, charts and a page a cell, from its records alone, without a server."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ucbench.errors import UsageError

#: What the site is made with, beyond ucbench's own dependencies: their importable names.
REQUIRES = ("jinja2", "plotly")
EXTRA = "ucbench[site]"


def build_site(folder: Path, out: Path, *, title: str = "Leaderboard", ranked: Sequence[str] | None = None) -> int:
    """Write the site of the leaderboard in ``folder`` to ``out``, and return how many files it has.

    The same records give the same bytes. What an earlier build left in ``out`` and this one does not make is removed.

    Args:
        title: its heading, such as a suite's title.
        ranked: the defenses that the worst case is taken over; None if nobody is to be ranked.

    Raises:
        UsageError: if a package is missing (the text has the install line), or ``out`` holds something else.
        DataError: if there are no records, or one cannot be read.
    """
    missing = [name for name in REQUIRES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f'The site is made with {", ".join(missing)}, not installed here. Run: pip install "{EXTRA}"')
    # Not before: these import what may be missing.
    from ucbench.leaderboard.site.data import collect
    from ucbench.leaderboard.site.output import replace_files
    from ucbench.leaderboard.site.pages import files
    from ucbench.results.records import records_in

    made = files(collect(records_in(folder), title, ranked), folder / "sheets")
    replace_files(out, made)
    return len(made)
