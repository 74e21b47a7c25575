"""Which suite a leaderboard's folder is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ucbench.suite import Suite

#: A submission's copy of the suite as it was used.
SUITE_FILE = "suite.toml"


def suite_of(folder: Path, named: str | None) -> Suite | None:
    """The suite of that name; else the folder's own copy; else the known one that the folder's table is headed by.

    None if there is none of these.

    Raises:
        UsageError: if there is no suite of that name, or its file is wrong.
    """
    from ucbench import api
    from ucbench.errors import UcbenchError
    from ucbench.suite import load_suite

    if named is not None:
        return api.suite(named)
    if (folder / SUITE_FILE).exists():
        return load_suite(folder / SUITE_FILE)
    heading = _heading(folder / "README.md")
    for path in api.suites()[0].values():
        try:
            known = load_suite(path)
        except UcbenchError:
            continue  # one that is broken heads no table
        if heading == f"# {known.title}":
            return known
    return None


def _heading(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""
