"""The data of one board: groups of cells that differ only in seeds, settings, and blocks of comparable poisoners."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from ucbench.data.budget import Budget
from ucbench.leaderboard.entries import Entry, entries
from ucbench.leaderboard.finding import Finding, finding
from ucbench.leaderboard.gates import RULES, gates_of
from ucbench.leaderboard.layout import inapplicable_text, poisoner_text
from ucbench.leaderboard.ranking import with_none
from ucbench.leaderboard.site.addresses import cells_page
from ucbench.leaderboard.site.places import without_places
from ucbench.leaderboard.site.table import AXES
from ucbench.matrix.suite import GateRules
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, POSITIVE, SHAM, SHUFFLED
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import BLOCK, EFFECTS, ENTRY, EXPLOITER, SETTING, column, values_of
from ucbench.results.gate import Gate, Judgement, judgement_of
from ucbench.results.records import Record, current
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import Row, dicts, measured, rows

REFERENCE, ORACLE, FAILED = "reference", "oracle", "failed"


@dataclass(frozen=True, eq=False)
class Group:
    """Cells that differ only in seeds, and their means.

    Attributes:
        members: the cells, as rows of results.csv.
        kind: :data:`REFERENCE`, :data:`ORACLE`, or ``""`` for competitors.
        axes: the common values in words, by the keys of :data:`ucbench.leaderboard.site.table.AXES`.
        label: a short name, unique within its setting and defense.
        passed: whether the gate of its setting was passed; of clean cells, the gate of any of their settings.
    """

    summary: Summary
    members: tuple[Row, ...]
    kind: str
    axes: Mapping[str, str]
    label: str
    passed: bool

    @functools.cached_property
    def means(self) -> dict[str, Interval]:
        """The means that pages show: effects only where the gate was passed."""
        return {name: mean if self.shows(name) else t_interval([]) for name, mean in self.summary.means.items()}

    def shows(self, name: str) -> bool:
        """Whether pages show this number of its cells."""
        return self.passed or name not in EFFECTS

    @property
    def is_clean(self) -> bool:
        return bool(self.summary.shared["poisoner"] == CLEAN)

    @property
    def base(self) -> str:
        """The poisoner's name without parameters."""
        return str(self.summary.shared["base"])

    @property
    def defenses(self) -> tuple[str, ...]:
        """Names of its defenses without parameters; empty without any."""
        chain = self.axes["defense"]
        return () if chain == NO_DEFENSE else tuple(map(base_name, chain.split("+")))

    @property
    def cells_page(self) -> str:
        """The board's list of cells, filtered to this group."""
        return cells_page(self.axes)

    @property
    def by_craft(self) -> dict[int, float]:
        """Mean accuracy in percent over the trainings on each craft (each training on clean images)."""
        units: dict[int, list[float]] = defaultdict(list)
        for row in self.members:
            if row["test_accuracy"] is not None:
                units[row["unit"]].append(row["test_accuracy"])
        return {unit: sum(values) / len(values) for unit, values in sorted(units.items())}


@dataclass(frozen=True)
class Block:
    """The comparable poisoners of one setting, and their references.

    Attributes:
        access: their label access.
        entries: the best protected first.
        references: undefended clean and sham groups that have no entry here.
        undefended: the undefended group of each entry, by the entry's name.
    """

    access: str
    entries: tuple[Entry, ...]
    references: tuple[Group, ...]
    undefended: Mapping[tuple[Any, ...], Group]

    @property
    def competing(self) -> tuple[Entry, ...]:
        """Those that are neither references nor oracles and lack no ranked defense."""
        groups = self.undefended
        return tuple(e for e in self.entries if e.worst and e.name in groups and not groups[e.name].kind)


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting: its blocks, its groups (with the clean ones) and its gates.

    Attributes:
        axes: its values in words.
        judgement: of its gates.
        values: those of :data:`ucbench.results.columns.SETTING`.
    """

    axes: Mapping[str, str]
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]
    gates: tuple[Gate, ...]
    judgement: Judgement
    values: tuple[Any, ...]

    @property
    def title(self) -> str:
        return ", ".join(self.axes[name] for name in ("dataset", "budget", "victim"))

    @property
    def link(self) -> str:
        """The board's page with this setting selected."""
        return f"index.html#{urlencode(self.axes)}"

    @property
    def passed(self) -> bool:
        return self.judgement.state == "passed"

    @property
    def inapplicable(self) -> str:
        """The sentence on ranked defenses that its victim cannot use; empty without any."""
        return inapplicable_text(self.blocks[0].entries).strip() if self.blocks else ""

    def clean(self, defense: str = NO_DEFENSE) -> float:
        """Mean accuracy in percent on clean images under a defense; NaN if it was not run."""
        return next(
            (g.summary.means["test_accuracy"].mean for g in self.groups if g.is_clean and g.axes["defense"] == defense),
            math.nan,
        )

    @property
    def chance(self) -> float:
        return next((g.summary.means["chance"].mean for g in self.groups if g.summary.done), math.nan)

    def spoiled(self, defense: str) -> bool:
        """Whether clean accuracy under the defense has lost more than half of its gap to chance."""
        return bool(self.clean(defense) - self.chance < (self.clean() - self.chance) / 2)


@dataclass(frozen=True)
class Board:
    """The data of one board.

    Attributes:
        ranked: the suite's ranked defenses; None for no ranking.
        entries: those of all blocks, in order.
        records: records by cell, without places of the machine that made them.
        table: rows of :func:`ucbench.results.table.rows`; ``rows`` holds them as dicts.
        groups: the groups of all settings, in the order of the results.
        by_cell: the group of each cell.
        settings: the one with most poisoners first among those of an exploiter.
        slug: its folder on the site is ``boards/<slug>``.
    """

    title: str
    ranked: tuple[str, ...] | None
    entries: tuple[Entry, ...]
    records: Mapping[str, Record]
    table: pd.DataFrame
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    by_cell: Mapping[str, Group]
    settings: tuple[Setting, ...]
    finding: Finding
    slug: str = "board"
    shortened: frozenset[str] = field(default=frozenset())

    @property
    def home(self) -> str:
        """Its folder, relative to the site's root, with a slash at its end."""
        return f"boards/{self.slug}/"

    @property
    def lead(self) -> Setting | None:
        """The setting that the finding is about; None for an empty board."""
        return next((setting for setting in self.settings if setting.values == self.finding.setting), None)


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
    by_cell = {record["cell"]: record for record in published}
    shortened = {two["cell"] for one, two in zip(records, published, strict=True) if two is not one}
    table = rows(by_cell.values())
    lines = dicts(table)
    verdicts = gates_of(table, rules, folder)
    groups = _groups(table, lines, verdicts)
    defenses = None if ranked is None else with_none(ranked, measured(table)["defense"])
    board = entries(table, defenses or (), verdicts)
    return Board(
        title,
        defenses,
        tuple(board),
        by_cell,
        table,
        tuple(lines),
        tuple(groups),
        {row["cell"]: group for group in groups for row in group.members},
        tuple(_settings(board, groups, verdicts)),
        finding([group.summary for group in groups], board, verdicts, defenses),
        slug,
        frozenset(shortened),
    )


def axes_text(row: Row) -> dict[str, str]:
    """A row's axes in words, by the keys of :data:`ucbench.leaderboard.site.table.AXES`."""
    numerics = dict(row["numerics"])
    threads = numerics["threads"]
    special = {
        "budget": "none" if row["poisoner"] == CLEAN else str(Budget(row["norm"], row["epsilon"])),
        "poisoner": poisoner_text(row),
        "numerics": f"{numerics['dtype']}, {threads} {'thread' if threads == 1 else 'threads'}",
    }
    return {axis.key: special.get(axis.key) or column(axis.key).text(row[axis.key]) for axis in AXES}


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
    if row["oracle"] or row["base"] == POSITIVE:
        return ORACLE
    return REFERENCE if row["base"] in (CLEAN, SHAM, SHUFFLED) else ""


def _labels(rows: Sequence[Row]) -> list[str]:
    """For the first row of each group, its poisoner and what distinguishes it from others of the same name."""
    names = ["surrogate", "craft_labels", "numerics", "data"]
    texts = pd.DataFrame(
        {**axes_text(row), "data": f"data {row['fingerprints'][0][:8]}", "setting": str(values_of(row, SETTING))}
        for row in rows
    )
    if texts.empty:
        return []
    varying = texts.groupby(["setting", "poisoner"])[names].transform("nunique") > 1
    return [
        " · ".join([text["poisoner"], *(text[name] for name in names if varying.at[index, name])])
        for index, text in texts.iterrows()
    ]


def _settings(board: Sequence[Entry], groups: Sequence[Group], verdicts: Sequence[Gate]) -> Iterable[Setting]:
    blocks = _blocks(board, groups)
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
            _informative(blocks.get(values, ())),
            (*(group for group in clean if _same(group, shared, EXPLOITER)), *members),
            tuple(gate for gate in verdicts if values_of(gate.shared, SETTING) == values),
            judgement_of(verdicts, values),
            values,
        )


def _most_compared_first(setting: tuple[tuple[Any, ...], list[Group]]) -> tuple[Any, ...]:
    """Sort key of settings: by exploiter, and for each exploiter the budget with the most poisoners first."""
    shared = setting[1][0].summary.shared
    competitors = {group.label for group in setting[1] if not group.kind}
    return (*(str(shared[name]) for name in EXPLOITER), -len(competitors), str(shared["norm"]), shared["epsilon"] or 0)


def _informative(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks without those that only repeat sham rows, which others show as references."""
    informative = tuple(block for block in blocks if any(entry.name[0] != SHAM for entry in block.entries))
    return informative or tuple(blocks)


def _blocks(entries: Sequence[Entry], groups: Sequence[Group]) -> dict[tuple[Any, ...], list[Block]]:
    """Blocks by the values of their setting."""
    by_block: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_block[entry.block].append(entry)
    undefended = [group for group in groups if group.axes["defense"] == NO_DEFENSE and group.summary.done]
    by_name = {values_of(group.summary.shared, (*BLOCK, *ENTRY)): group for group in undefended}
    blocks: dict[tuple[Any, ...], list[Block]] = defaultdict(list)
    for block, members in by_block.items():
        shared = dict(zip(BLOCK, block, strict=True))
        references = tuple(
            group
            for group in undefended
            if (group.is_clean and _same(group, shared, EXPLOITER))
            # The label access of sham is none, so it has no entry among poisoners with labels.
            or (group.axes["poisoner"] == SHAM and _same(group, shared, SETTING) and not _same(group, shared, BLOCK))
        )
        group_of = {entry.name: group for entry in members if (group := by_name.get((*block, *entry.name)))}
        found = Block(str(shared["label_access"]), tuple(members), references, group_of)
        blocks[values_of(shared, SETTING)].append(found)
    return blocks


def _same(group: Group, values: Mapping[str, Any], names: Iterable[str]) -> bool:
    return all(group.summary.shared[name] == values[name] for name in names)
