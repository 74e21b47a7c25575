"""What the site shows, worked out from records: groups of cells that differ in seeds, settings, leaderboards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from ucbench.data.budget import Budget
from ucbench.errors import DataError
from ucbench.leaderboard.entries import EXPLOITER, Entry, entries
from ucbench.leaderboard.layout import poisoner_text
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, POSITIVE, SHAM, SHUFFLED
from ucbench.results.columns import BLOCK, ENTRY
from ucbench.results.gate import Gate, gates
from ucbench.results.records import Record
from ucbench.results.table import Row, Summary, dicts, rows, summarise
from ucbench.store.keys import key

#: What makes cells comparable, whatever labels their poisoners had: a page of charts each.
SETTING = ("dataset", "labeling", "victim", "norm", "epsilon", "mixture", "trusted")

REFERENCE, ORACLE, FAILED = "reference", "oracle", "failed"

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, eq=False)
class Group:
    """Cells that differ in nothing but their seeds, and what they come to.

    Attributes:
        kind: :data:`REFERENCE`, :data:`ORACLE` or, for what can be ranked, ``""``.
        axes: the values they share, in words, by the keys of :data:`ucbench.leaderboard.site.table.AXES`.
        label: a short name, unlike those of other groups of its setting and defense.
    """

    summary: Summary
    members: tuple[Row, ...]
    kind: str
    axes: Mapping[str, str]
    label: str

    @property
    def is_clean(self) -> bool:
        return bool(self.summary.shared["poisoner"] == CLEAN)

    @property
    def cells_page(self) -> str:
        """The list of cells, filtered to these."""
        return cells_page(self.axes)


@dataclass(frozen=True)
class Board:
    """The leaderboard of one block: the poisoners that compete, and what they are read against.

    Attributes:
        access: the label access they share.
        entries: best protected first.
        references: undefended clean and sham groups that have no entry here.
        undefended: the undefended group of each entry, by the entry's name.
    """

    access: str
    entries: tuple[Entry, ...]
    references: tuple[Group, ...]
    undefended: Mapping[tuple[Any, ...], Group]


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting: its leaderboards, its groups (clean ones included) and the gate's verdicts.

    Attributes:
        slug: its page's name, without the suffix.
        axes: its values in words.
    """

    slug: str
    axes: Mapping[str, str]
    boards: tuple[Board, ...]
    groups: tuple[Group, ...]
    gates: tuple[Gate, ...]

    @property
    def title(self) -> str:
        return ", ".join(self.axes[name] for name in ("dataset", "budget", "victim"))


@dataclass(frozen=True)
class Site:
    """All of it.

    Attributes:
        ranked: the suite's ranked defenses; None where no suite was named and so nobody is ranked.
        records: by cell.
        table: rows of :func:`ucbench.results.rows`; ``rows`` has them as dicts.
        groups: of all settings, each once, in the order of the results.
        by_cell: the group of every cell.
    """

    title: str
    ranked: tuple[str, ...] | None
    records: Mapping[str, Record]
    table: pd.DataFrame
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    by_cell: Mapping[str, Group]
    settings: tuple[Setting, ...]


def collect(records: Sequence[Record], title: str, ranked: Sequence[str] | None) -> Site:
    """Work out the site of these records.

    Raises:
        DataError: if two records are of one cell, or a cell's key could not name a file.
    """
    by_cell: dict[str, Record] = {}
    for record in records:
        cell = str(record["cell"])
        if not _FILE_NAME.fullmatch(cell):
            raise DataError(f"A record has the cell key {cell!r}, which cannot name a page.")
        if cell in by_cell:
            raise DataError(f"Two records are of the cell {cell}. Move one of them away.")
        by_cell[cell] = record
    table = rows(by_cell.values())
    groups = _groups(table)
    return Site(
        title,
        None if ranked is None else tuple(ranked),
        by_cell,
        table,
        tuple(dicts(table)),
        tuple(groups),
        {row["cell"]: group for group in groups for row in group.members},
        tuple(_settings(table, groups, ranked or ())),
    )


def budget_text(values: Mapping[str, Any]) -> str:
    if values["poisoner"] == CLEAN:
        return "none"
    return str(Budget(values["norm"], values["epsilon"]))


def cells_page(axes: Mapping[str, str]) -> str:
    return f"cells.html#{urlencode(axes)}"


def axes_text(row: Row) -> dict[str, str]:
    """A row's axes in words, by the keys of :data:`ucbench.leaderboard.site.table.AXES`."""
    numerics = dict(row["numerics"])
    threads = numerics.get("threads", "?")
    return {
        **{name: str(row[name]) for name in ("dataset", "labeling", "victim")},
        "budget": budget_text(row),
        "mixture": f"{row['mixture']:g}",
        "trusted": str(row["trusted"]),
        "label_access": str(row["label_access"]),
        "poisoner": poisoner_text(row),
        **{name: str(row[name]) for name in ("surrogate", "craft_labels", "defense")},
        "numerics": f"{numerics.get('dtype', '?')}, {threads} {'thread' if threads == 1 else 'threads'}",
    }


def _groups(table: pd.DataFrame) -> list[Group]:
    summaries = summarise(table)
    labels = _labels([summary.shared for summary in summaries])
    return [
        Group(summary, tuple(dicts(summary.members)), _kind(summary.shared), axes_text(summary.shared), label)
        for summary, label in zip(summaries, labels, strict=True)
    ]


def _kind(row: Row) -> str:
    if row["oracle"] or row["base"] == POSITIVE:
        return ORACLE
    return REFERENCE if row["base"] in (CLEAN, SHAM, SHUFFLED) else ""


def _labels(first: Sequence[Row]) -> list[str]:
    """The poisoner of each group, given its first row, and what it takes to tell it from its namesakes."""
    names = ("surrogate", "craft_labels", "numerics", "data")
    found = [{**axes_text(row), "data": f"data {row['fingerprints'][0][:8]}"} for row in first]
    keys = [(*_values(row, SETTING), one["poisoner"]) for row, one in zip(first, found, strict=True)]
    seen: dict[tuple[Any, ...], set[str]] = {}
    for key_, one in zip(keys, found, strict=True):
        for name in names:
            seen.setdefault((*key_, name), set()).add(one[name])
    return [
        " · ".join([one["poisoner"], *(one[name] for name in names if len(seen[(*key_, name)]) > 1)])
        for key_, one in zip(keys, found, strict=True)
    ]


def _settings(table: pd.DataFrame, groups: Sequence[Group], ranked: Sequence[str]) -> Iterable[Setting]:
    boards = _boards(entries(table, ranked), groups)
    verdicts = gates(table)
    clean = [group for group in groups if group.is_clean]
    by_setting: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        if not group.is_clean:
            by_setting.setdefault(_values(group.summary.shared, SETTING), []).append(group)
    for values, own in sorted(by_setting.items(), key=_most_compared_first):
        shared = own[0].summary.shared
        axes = axes_text(shared)
        text = {name: axes[name] for name in ("dataset", "labeling", "victim", "budget", "mixture", "trusted")}
        yield Setting(
            _slug(text, values),
            text,
            _worth_showing(boards.get(values, ())),
            (*(group for group in clean if _same(group, shared, EXPLOITER)), *own),
            # A defense may well stop a shortcut: what a regime can show is judged without any.
            tuple(gate for gate in verdicts if _values(gate.shared, (*SETTING, "defense")) == (*values, NO_DEFENSE)),
        )


def _most_compared_first(setting: tuple[tuple[Any, ...], list[Group]]) -> tuple[Any, ...]:
    """Orders settings: the exploiters as they come in words, and of each the budget most poisoners share first."""
    shared = setting[1][0].summary.shared
    competitors = {group.label for group in setting[1] if not group.kind}
    return (*(str(shared[name]) for name in EXPLOITER), -len(competitors), str(shared["norm"]), shared["epsilon"] or 0)


def _worth_showing(boards: Sequence[Board]) -> tuple[Board, ...]:
    """The boards, but none that only repeats the sham rows that others show among their references."""
    kept = tuple(board for board in boards if any(entry.name[0] != SHAM for entry in board.entries))
    return kept or tuple(boards)


def _boards(found: Sequence[Entry], groups: Sequence[Group]) -> dict[tuple[Any, ...], list[Board]]:
    """Boards by the values of their setting."""
    by_block: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in found:
        by_block.setdefault(entry.block, []).append(entry)
    undefended = [group for group in groups if group.axes["defense"] == NO_DEFENSE and group.summary.done]
    by_name = {_values(group.summary.shared, (*BLOCK, *ENTRY)): group for group in undefended}
    boards: dict[tuple[Any, ...], list[Board]] = {}
    for block, own in by_block.items():
        shared = dict(zip(BLOCK, block, strict=True))
        beside = [
            group
            for group in undefended
            if (group.is_clean and _same(group, shared, EXPLOITER))
            # Its label access is none: among those with labels it has no entry.
            or (group.axes["poisoner"] == SHAM and _same(group, shared, SETTING) and not _same(group, shared, BLOCK))
        ]
        groups_of = {entry.name: by_name[(*block, *entry.name)] for entry in own if (*block, *entry.name) in by_name}
        board = Board(str(shared["label_access"]), tuple(own), tuple(beside), groups_of)
        boards.setdefault(_values(shared, SETTING), []).append(board)
    return boards


def _slug(text: Mapping[str, str], values: tuple[Any, ...]) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(text[name] for name in ("dataset", "victim", "budget")).lower())
    return f"{words.strip('-')[:50].strip('-')}-{key('setting', values)[:8]}".lstrip("-")


def _values(values: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(values[name] for name in names)


def _same(group: Group, values: Mapping[str, Any], names: Iterable[str]) -> bool:
    return all(group.summary.shared[name] == values[name] for name in names)
