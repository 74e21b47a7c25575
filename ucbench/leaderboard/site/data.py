"""What pages show of one board: groups of cells that differ only in seeds, settings, and blocks of poisoners."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from ucbench.leaderboard.entries import Block, Entry
from ucbench.leaderboard.finding import Finding
from ucbench.leaderboard.forest import Forest
from ucbench.leaderboard.layout import inapplicable_text
from ucbench.leaderboard.site.addresses import cells_page
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN, NO_DEFENSE
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import EFFECTS
from ucbench.results.gate import Gate, Judgement
from ucbench.results.records import Record
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.summary import Summary
from ucbench.results.table import Row

REFERENCE, ORACLE, FAILED = "reference", "oracle", "failed"


@dataclass(frozen=True, eq=False)
class Group:
    """Cells that differ only in seeds, and their means.

    Attributes:
        members: the cells, as rows of results.csv.
        kind: :data:`REFERENCE`, :data:`ORACLE`, or ``""`` for competitors.
        axes: the common values in words, by the keys of :data:`ucbench.leaderboard.site.table.AXIS_COLUMN`.
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


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting: its blocks, its groups (with the clean ones) and its gates.

    Attributes:
        axes: its values in words.
        blocks: those that do not only repeat sham rows, which others show as references.
        undefended: the undefended group of each entry that has one, also in other blocks of the setting.
        judgement: of its gates.
        values: those of :data:`ucbench.results.columns.SETTING`.
        forest: the rows of its forest plot; None where no poisoner is done without defense.
    """

    axes: Mapping[str, str]
    blocks: tuple[Block, ...]
    undefended: Mapping[Entry, Group]
    groups: tuple[Group, ...]
    gates: tuple[Gate, ...]
    judgement: Judgement
    values: tuple[Any, ...]
    forest: Forest | None

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
        return inapplicable_text(self.blocks[0]).strip() if self.blocks else ""

    @property
    def competing(self) -> tuple[Entry, ...]:
        """Entries that are neither references nor oracles and lack no ranked defense."""
        found = [(entry, self.undefended.get(entry)) for block in self.blocks for entry in block.entries]
        return tuple(entry for entry, group in found if entry.worst and group and not group.kind)

    def references(self, block: Block) -> list[Group]:
        """The undefended clean and sham groups that have no entry in the block."""
        shown = {self.undefended.get(entry) for entry in block.entries}
        return [
            g
            for g in self.groups
            if g.axes["poisoner"] in ADDED_REFERENCES and g.axes["defense"] == NO_DEFENSE and g.summary.done
            if g not in shown
        ]

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
        blocks: those of all settings, in order.
        records: records by cell, without places of the machine that made them.
        table: rows of :func:`ucbench.results.table.rows`; ``rows`` holds them as dicts.
        groups: the groups of all settings, in the order of the results.
        by_cell: the group of each cell.
        settings: the one with most poisoners first among those of an exploiter.
        slug: its folder on the site is ``boards/<slug>``.
    """

    title: str
    ranked: tuple[str, ...] | None
    blocks: tuple[Block, ...]
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
