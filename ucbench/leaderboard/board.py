"""From the records of a board to its rows, gates and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ucbench.leaderboard.earlier import stated_versions
from ucbench.leaderboard.entries import Leaderboard, blocks
from ucbench.leaderboard.gates import RULES, gates_of
from ucbench.matrix.suite import GateRules
from ucbench.results.gate import Gate
from ucbench.results.records import Record, records_in
from ucbench.results.table import rows


class Judged(NamedTuple):
    """Records without those of earlier versions of components, their rows, and the gates of their settings."""

    records: list[Record]
    table: pd.DataFrame
    gates: list[Gate]

    def leaderboard(self, defenses: Sequence[str]) -> Leaderboard:
        """The blocks over these ranked defenses; raises DataError where rows cannot be averaged."""
        return Leaderboard(blocks(self.table, defenses, self.gates), stated_versions(self.records))


def judged(records: Sequence[Record], rules: GateRules = RULES, folder: Path | None = None) -> Judged:
    """Rows and gates, by the rules of a suite, of the records of the leaderboard in ``folder``."""
    table = rows(records)
    current = set(table["cell"])
    return Judged([one for one in records if one["cell"] in current], table, gates_of(table, rules, folder))


def judged_in(folder: Path, rules: GateRules = RULES) -> Judged:
    """Rows and gates of the records in ``folder``; raises DataError if there are none, or one cannot be read."""
    return judged(records_in(folder), rules, folder)
