"""The forest plot of a setting: every poisoner's accuracy with its interval, between chance and clean accuracy.

Figures and pages take its rows and their order from here; their layouts differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ucbench.errors import DataError
from ucbench.leaderboard.entries import Block, Entry
from ucbench.leaderboard.layout import setting_heading
from ucbench.leaderboard.marks import Mark, marks
from ucbench.leaderboard.ranking import unranked
from ucbench.matrix.axes import AXIS
from ucbench.matrix.names import distinguished
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, POSITIVE, REFERENCES
from ucbench.results.axis_columns import budget_text
from ucbench.results.columns import BLOCK, ENTRY, EXPLOITER, SETTING, values_of
from ucbench.results.gate import Gate, gate_of, gates
from ucbench.results.statistics import Interval, Nested, nested
from ucbench.results.table import SAME_WORLD, check_worlds, grouped, measured, with_units

#: Titles of the groups of poisoners, with their label access.
PARTS = {"Without labels": "none", "With class names": "names", "With labels": "full"}
#: Columns that identify a row and its entry.
_KEYS = (*BLOCK, *ENTRY)
#: Values of a setting, by the names of :data:`ucbench.results.columns.SETTING`.
Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One poisoner.

    Attributes:
        key: the values of :data:`ucbench.results.columns.BLOCK` and :data:`ucbench.results.columns.ENTRY`.
        name: the poisoner, and what distinguishes it from other rows of the figure.
        accuracy: clean test accuracy in percent without defense.
        entry: its place on the board; None without a board.
    """

    key: tuple[Any, ...]
    name: str
    mark: Mark
    accuracy: Nested
    entry: Entry | None = None

    @property
    def worst(self) -> Interval | None:
        """The highest mean accuracy over the ranked defenses; None where no defense helps the exploiter."""
        return self.entry.worst if self.entry and self.entry.defense != NO_DEFENSE else None


@dataclass(frozen=True)
class Forest:
    """The numbers of the plot, without its layout.

    Attributes:
        heading: the setting in words.
        note: why the setting is inconclusive; empty where its gate was passed. Marks are grey then.
        groups: rows by title: without label knowledge, with class names, with labels, at other budgets, references.
        clean: accuracy of the same exploiter on clean images; None if it was not run.
        chance: in percent; NaN where it is unknown.
    """

    heading: str
    note: str
    groups: Mapping[str, tuple[Row, ...]]
    clean: Nested | None
    chance: float

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.groups.values() for row in rows]


def settings(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The settings of undefended rows: first those with the most poisoners, then with the data set's own labels."""
    drawn = _drawn(table)
    drawn = drawn[drawn["poisoner"] != CLEAN]
    ranked = [(len(set(members["base"]) - set(REFERENCES)), setting) for setting, members in grouped(drawn, SETTING)]
    ranked.sort(key=lambda one: (-one[0], one[1]["labeling"] != AXIS["labeling"].default))
    return [setting for _, setting in ranked]


def forest(
    table: pd.DataFrame,
    setting: Setting | None = None,
    *,
    board: Iterable[Block] = (),
    verdicts: Sequence[Gate] | None = None,
) -> Forest:
    """The forest plot of one setting, from rows of :func:`ucbench.results.table.rows` or a run's Results.

    Args:
        setting: one of :func:`settings`. By default the first; poisoners that were run only at budgets of their own,
            against the same exploiter, are then a group beside it.
        board: the leaderboard's blocks, for ranks and worst cases.
        verdicts: the gates of all settings; by default those of the table.

    Raises:
        DataError: if no finished cell without defense is of a poisoner, or rows that would be averaged differ in images
            or numerics.
    """
    drawn = _drawn(table)
    if not (listed := settings(table)):
        raise DataError("There is nothing to draw: no finished cell without defense has a poisoner.")
    shared = dict(listed[0] if setting is None else setting)
    exploited = _where(drawn, {name: shared[name] for name in EXPLOITER})
    check_worlds(exploited)
    clean = exploited[exploited["poisoner"] == CLEAN]
    members = _where(exploited[exploited["poisoner"] != CLEAN], shared)
    is_unranked = members["base"].isin(unranked(members))
    parts = {
        **{title: members[~is_unranked & (members["label_access"] == access)] for title, access in PARTS.items()},
        "Other budgets": _elsewhere(exploited, members, shared) if setting is None else members[:0],
        "References": members[is_unranked],
    }
    by_name = {values_of({**block.values, **entry.values}, _KEYS): entry for block in board for entry in block.entries}
    gate = gate_of(gates(_whole(table)) if verdicts is None else verdicts, values_of(shared, SETTING))
    passed = gate is not None and gate.passed
    looks = marks(str(base) for part in parts.values() for base in part["base"])
    groups = {
        title: tuple(_rows(part, looks, by_name, passed, budgets=title == "Other budgets"))
        for title, part in parts.items()
        if len(part)
    }
    chances = pd.concat([members, clean])["chance"].dropna()
    return Forest(
        setting_heading(shared),
        "" if passed else _inconclusive(gate),
        groups,
        nested(clean["test_accuracy"], clean["unit"]) if len(clean) else None,
        float(chances.iloc[0]) if len(chances) else math.nan,
    )


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that a run's Results lack."""
    if "base" in table:
        return table
    oracle = table["craft_labels"].eq("exploiter")
    return with_units(pd.DataFrame(table)).assign(oracle=oracle, **dict.fromkeys(SAME_WORLD, ""))


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    done = measured(_whole(table))
    return done[done["defense"] == NO_DEFENSE]


def _where(table: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values; None is a missing one."""
    for name, value in values.items():
        table = table[table[name].isna() if value is None else table[name].eq(value).fillna(False)]
    return table


def _elsewhere(exploited: pd.DataFrame, members: pd.DataFrame, shared: Setting) -> pd.DataFrame:
    """The rows of poisoners that the setting itself lacks, at other budgets."""
    others = exploited[~exploited["base"].isin({*REFERENCES, *members["base"]})]
    return others[others["mixture"].eq(shared["mixture"])]


def _rows(
    part: pd.DataFrame,
    looks: Mapping[str, Mark],
    board: Mapping[tuple[Any, ...], Entry],
    passed: bool,
    *,
    budgets: bool,
) -> list[Row]:
    """By accuracy where the gate was passed, else by name: the order must not look like a ranking then."""
    cells = list(grouped(part, _KEYS))
    rows = []
    for (row, members), name in zip(cells, distinguished(row for row, _ in cells), strict=True):
        budget = f", {budget_text(row)}" if budgets else ""
        mark = looks[members["base"].iloc[0]]
        rows.append(
            Row(
                key := values_of(row, _KEYS),
                name + budget,
                mark if passed else mark.muted(),
                nested(members["test_accuracy"], members["unit"]),
                board.get(key),
            )
        )
    return (
        sorted(rows, key=lambda row: row.accuracy.interval.mean) if passed else sorted(rows, key=lambda row: row.name)
    )


def _inconclusive(gate: Gate | None) -> str:
    if gate is None:
        return f"Inconclusive: the gate was not judged, because {POSITIVE} was not run."
    said = "not passed" if gate.state == "failed" else "not judged in full"
    return f"Inconclusive: the gate was {said}: {'; '.join(gate.reasons)}."
