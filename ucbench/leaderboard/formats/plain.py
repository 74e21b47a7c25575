"""The two formats that a leaderboard's folder contains."""

from __future__ import annotations

from ucbench.leaderboard.entries import Leaderboard
from ucbench.leaderboard.tables import to_leaderboard_csv, to_markdown
from ucbench.plugins.params import Params


class Markdown:
    """``README.md`` as `leaderboard build` writes it, without its figure."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, leaderboard: Leaderboard, title: str) -> str:
        return to_markdown(leaderboard, title)


class Csv:
    """``leaderboard.csv`` as `leaderboard build` writes it; without the title."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, leaderboard: Leaderboard, title: str) -> str:
        return to_leaderboard_csv(leaderboard.blocks)
