"""What is published of a suite: tables that follow from records, and judging, comparing and sending them.

Nothing here trains or crafts. Exporters of plugins find what they write in :class:`Entry`.
"""

from ucbench.leaderboard.entries import Entry
from ucbench.leaderboard.tables import to_leaderboard_csv, to_markdown
from ucbench.results.columns import BLOCK, ENTRY

__all__ = ["BLOCK", "ENTRY", "Entry", "to_leaderboard_csv", "to_markdown"]
