"""Export formats of a leaderboard's table, and the protocol of exporters from plugins."""

from typing import Protocol, runtime_checkable

from ucbench.leaderboard.entries import Leaderboard


@runtime_checkable
class Exporter(Protocol):
    """``Class(params)``; writes a leaderboard's table in one format."""

    def export(self, leaderboard: Leaderboard, title: str) -> str:
        """The blocks in their order under ``title``; equal leaderboards give equal texts.

        Names of components and suites are arbitrary text, so the format must escape them.
        ``ucbench.sections(leaderboard)`` returns the entries of each block as rows of plain text.
        """
