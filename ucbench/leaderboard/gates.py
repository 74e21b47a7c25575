"""The gates of a leaderboard: from its own rows, or from another leaderboard that its suite cites."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from ucbench.matrix.suite import GateRules, suite_in
from ucbench.results.columns import SETTING, values_of
from ucbench.results.gate import Gate, gates
from ucbench.results.records import records_in
from ucbench.results.table import SAME_WORLD, dicts, rows

#: The rules of a suite that states none.
RULES = GateRules()


def gates_of(table: pd.DataFrame, rules: GateRules, folder: Path | None) -> list[Gate]:
    """The gates of the settings in ``table``: its own, and those of the cited leaderboard for settings without one.

    A cited gate counts where it was judged for the same data set, labeling, victim, budget, mixture and trusted images,
    on the same images and with the same numerics, as the records of that leaderboard state.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        folder: the leaderboard's; the cited one is beside it. None, and a cited leaderboard that is not there, leave
            settings without a gate.

    Raises:
        DataError, UsageError: if records or suite of the cited leaderboard cannot be read.
    """
    of_table = gates(table, rules.converged)
    cited = _cited(folder, rules.of) if folder and rules.of else None
    if cited is None:
        return of_table
    suite = suite_in(cited)
    theirs = gates(rows(records_in(cited)), suite.file.gate.converged if suite else None)
    same = (*SETTING, *SAME_WORLD)
    here = {values_of(row, same) for row in dicts(table)}
    judged = {values_of(gate.shared, SETTING) for gate in of_table}
    board = f"{cited.parent.name}/{cited.name}"
    return of_table + [
        gate._replace(board=board)
        for gate in theirs
        if values_of(gate.shared, same) in here and values_of(gate.shared, SETTING) not in judged
    ]


def missing_board(rules: GateRules, folder: Path) -> str | None:
    """A sentence if the leaderboard that the suite cites is not beside ``folder``, so that its gate does not count."""
    if not rules.of or _cited(folder, rules.of):
        return None
    place = folder.resolve().parent.parent / rules.of
    return (
        f"There is no {place}, whose gate the suite cites: settings without a positive are not judged."
        " Put this leaderboard into SUITE/vN beside it."
    )


def _cited(folder: Path, name: str) -> Path | None:
    """The folder of the cited leaderboard: of the version it names, else of the latest; None if it is not there."""
    suite, _, version = name.partition("/")
    # A leaderboard is in SUITE/vN, beside other suites.
    versions = [path for path in (folder.resolve().parent.parent / suite).glob(version or "v*") if path.is_dir()]
    return max(versions, key=lambda path: int(re.sub(r"\D", "", path.name) or 0), default=None)
