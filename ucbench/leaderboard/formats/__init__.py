"""Formats that a leaderboard's table is written in, and the contract of exporters that plugins add."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ucbench.leaderboard.entries import Entry


@runtime_checkable
class Exporter(Protocol):
    """``Class(params)``; writes a leaderboard's table in one format."""

    def export(self, entries: Sequence[Entry], title: str) -> str:
        """The entries, block by block in their order, under ``title``; equal entries give equal texts.

        Names are whatever components and suites are called: the format escapes them.
        ``ucbench.sections(entries)`` has them as rows of plain text.
        """
