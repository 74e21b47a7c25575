"""The static site of a leaderboard: tables, charts and one page per cell, from its records alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ucbench.errors import UsageError
from ucbench.matrix.suite import GateRules

#: Packages that the site needs in addition to ucbench's dependencies, by import name.
REQUIRES = ("jinja2", "plotly")
EXTRA = "ucbench[site]"


def build_site(
    folder: Path,
    out: Path,
    *,
    title: str = "Leaderboard",
    ranked: Sequence[str] | None = None,
    rules: GateRules | None = None,
) -> int:
    """Write the site of the leaderboard in ``folder`` to ``out``, and return its number of files.

    The same records give the same bytes. Files of an earlier build in ``out`` that are no longer needed are removed.

    Args:
        title: the heading, such as a suite's title.
        ranked: the defenses that the worst case is taken over; None for no ranking.
        rules: the suite's, for the gate.

    Raises:
        UsageError: if a package is missing (the text has the install line), or ``out`` holds other files.
        DataError: if there are no records, or one cannot be read.
    """
    missing = [name for name in REQUIRES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f'The site needs {", ".join(missing)}, not installed here. Run: pip install "{EXTRA}"')
    # These modules import the packages above.
    from ucbench.leaderboard.gates import RULES
    from ucbench.leaderboard.site.data import collect
    from ucbench.leaderboard.site.output import replace_files
    from ucbench.leaderboard.site.pages import files
    from ucbench.results.records import records_in

    contents = files(collect(records_in(folder), title, ranked, folder, rules or RULES), folder / "sheets")
    replace_files(out, contents)
    return len(contents)
