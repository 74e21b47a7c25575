"""From the records of a board to the data that its pages show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ucbench.leaderboard.board import judged
from ucbench.leaderboard.entries import Block
from ucbench.leaderboard.finding import finding
from ucbench.leaderboard.forest import forest, settings
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.ranking import with_none
from ucbench.leaderboard.site.data import ORACLE, REFERENCE, Board, Group, Setting
from ucbench.leaderboard.site.places import without_places
from ucbench.leaderboard.site.table import AXIS_COLUMN
from ucbench.matrix.names import distinguished, poisoner_text
from ucbench.matrix.suite import GateRules
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, REFERENCES, SHAM
from ucbench.results.axis_columns import budget_text
from ucbench.results.columns import BLOCK, ENTRY, EXPLOITER, SETTING, column, values_of
from ucbench.results.gate import Gate, judgement_of
from ucbench.results.records import Record, current
from ucbench.results.summary import summarise
from ucbench.results.table import Row, dicts, measured


def collect(
    records: Sequence[Record],
    title: str,
    ranked: Sequence[str] | None,
    folder: Path | None = None,
    rules: GateRules = RULES,
    slug: str = "board",
) -> Board:
    """Collect the data of a board from its records.

    Args:
        folder: the leaderboard's, beside which a cited leaderboard is.

    Raises:
        DataError: if records that would be averaged differ in images or numerics.
    """
    records = current(records)
    published = without_places(records)
    shortened = {two["cell"] for one, two in zip(records, published, strict=True) if two is not one}
    by_cell = {record["cell"]: record for record in published}
    _, table, verdicts = found = judged(list(by_cell.values()), rules, folder)
    lines = dicts(table)
    groups = _groups(table, lines, verdicts)
    defenses = None if ranked is None else with_none(ranked, measured(table)["defense"])
    board = found.leaderboard(defenses or ()).blocks
    return Board(
        title,
        defenses,
        board,
        by_cell,
        table,
        tuple(lines),
        tuple(groups),
        {row["cell"]: group for group in groups for row in group.members},
        tuple(_settings(table, board, groups, verdicts)),
        finding([group.summary for group in groups], board, verdicts, defenses),
        slug,
        frozenset(shortened),
    )


def axes_text(row: Row) -> dict[str, str]:
    """A row's axes in words, by the keys of :data:`ucbench.leaderboard.site.table.AXIS_COLUMN`."""
    numerics = dict(row["numerics"])
    threads = numerics["threads"]
    special = {
        "budget": budget_text(row) or "none",
        "poisoner": poisoner_text(row),
        "numerics": f"{numerics['dtype']}, {threads} {'thread' if threads == 1 else 'threads'}",
    }
    return {key: special.get(key) or column(key).text(row[key]) for key in AXIS_COLUMN}


def _groups(table: pd.DataFrame, lines: Sequence[Row], verdicts: Sequence[Gate]) -> list[Group]:
    summaries = summarise(table)
    labels = _labels([summary.shared for summary in summaries])
    return [
        Group(
            # The rows are kept once; a table of each group would take most of the memory.
            summary._replace(members=table.iloc[:0]),
            tuple(lines[index] for index in summary.members.index),
            _kind(summary.shared),
            axes_text(summary.shared),
            label,
            _passed(summary.shared, verdicts),
        )
        for summary, label in zip(summaries, labels, strict=True)
    ]


def _passed(row: Row, verdicts: Sequence[Gate]) -> bool:
    names = EXPLOITER if row["poisoner"] == CLEAN else SETTING
    return any(gate.passed and values_of(gate.shared, names) == values_of(row, names) for gate in verdicts)


def _kind(row: Row) -> str:
    if row["oracle"]:
        return ORACLE
    return REFERENCE if row["base"] in REFERENCES else ""


def _labels(rows: Sequence[Row]) -> list[str]:
    """The name of each group within its setting, by their first rows."""
    by_setting: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for place, row in enumerate(rows):
        also = {"numerics": axes_text(row)["numerics"], "data": f"data {row['fingerprints'][0][:8]}"}
        by_setting[values_of(row, SETTING)][place] = {**row, **also}
    labels: dict[int, str] = {}
    for members in by_setting.values():
        labels |= zip(members, distinguished(members.values(), ("numerics", "data")), strict=True)
    return [label for _, label in sorted(labels.items())]


def _settings(
    table: pd.DataFrame, board: Sequence[Block], groups: Sequence[Group], verdicts: Sequence[Gate]
) -> Iterable[Setting]:
    of_setting: dict[tuple[Any, ...], list[Block]] = defaultdict(list)
    for block in board:
        of_setting[block.setting].append(block)
    undefended = [group for group in groups if group.axes["defense"] == NO_DEFENSE and group.summary.done]
    by_name = {values_of(group.summary.shared, (*BLOCK, *ENTRY)): group for group in undefended}
    drawn = {values_of(setting, SETTING): setting for setting in settings(table)}
    clean = [group for group in groups if group.is_clean]
    by_setting: dict[tuple[Any, ...], list[Group]] = defaultdict(list)
    for group in groups:
        if not group.is_clean:
            by_setting[values_of(group.summary.shared, SETTING)].append(group)
    for values, members in sorted(by_setting.items(), key=_most_compared_first):
        shared = members[0].summary.shared
        axes = {name: text for name, text in axes_text(shared).items() if name in (*SETTING, "budget")}
        yield Setting(
            axes,
            _informative(of_setting[values]),
            {
                entry: found
                for block in of_setting[values]
                for entry in block.entries
                if (found := by_name.get(values_of({**block.values, **entry.values}, (*BLOCK, *ENTRY))))
            },
            (*(g for g in clean if values_of(g.summary.shared, EXPLOITER) == values_of(shared, EXPLOITER)), *members),
            tuple(gate for gate in verdicts if values_of(gate.shared, SETTING) == values),
            judgement_of(verdicts, values),
            values,
            forest(table, drawn[values], board=board, verdicts=verdicts) if values in drawn else None,
        )


def _most_compared_first(setting: tuple[tuple[Any, ...], list[Group]]) -> tuple[Any, ...]:
    """Sort key of settings: by exploiter, and for each exploiter the budget with the most poisoners first."""
    shared = setting[1][0].summary.shared
    competitors = {group.label for group in setting[1] if not group.kind}
    return (*(str(shared[name]) for name in EXPLOITER), -len(competitors), str(shared["norm"]), shared["epsilon"] or 0)


def _informative(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks without those that only repeat sham rows, which others show as references."""
    informative = tuple(block for block in blocks if any(entry.values["poisoner"] != SHAM for entry in block.entries))
    return informative or tuple(blocks)
