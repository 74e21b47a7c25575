"""Export formats of a leaderboard's table, and the protocol of exporters from plugins."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ucbench.leaderboard.entries import Entry


@runtime_checkable
class Exporter(Protocol):
    """``Class(params)``; writes a leaderboard's table in one format."""

    def export(self, entries: Sequence[Entry], title: str) -> str:
        """The entries, block by block in their order, under ``title``; equal entries give equal texts.

        Names of components and suites are arbitrary text, so the format must escape them.
        ``ucbench.sections(entries)`` returns the entries as rows of plain text.
        """
