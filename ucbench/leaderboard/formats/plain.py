"""The two formats that a leaderboard's folder contains."""

from __future__ import annotations

from collections.abc import Sequence

from ucbench.leaderboard.entries import Entry
from ucbench.leaderboard.tables import to_leaderboard_csv, to_markdown
from ucbench.plugins.params import Params


class Markdown:
    """``README.md`` as `leaderboard build` writes it, without its figure."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, entries: Sequence[Entry], title: str) -> str:
        return to_markdown(entries, title)


class Csv:
    """``leaderboard.csv`` as `leaderboard build` writes it; without the title."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, entries: Sequence[Entry], title: str) -> str:
        return to_leaderboard_csv(entries)
