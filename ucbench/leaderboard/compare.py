"""Compares two leaderboards, or one with published figures: common settings, differences, and agreement of the orders.

Two boards are matched by everything that identifies an entry: data set, labeling, victim, budget, mixture, trusted
images, label access, poisoner, preset, surrogate and craft labels. Published figures state less, so they are matched by
the *base names* of data set, labeling, victim, poisoner and defenses, and by budget and mixture:
``resnet18:width=16`` matches a published ResNet-18, and readers of the difference must take that into account.

A difference is OTHER minus ONE in points of accuracy. Where both have two or more of the same craft seeds, these are
paired: the difference of each seed, their mean, and its 95 % interval (:func:`ucbench.results.statistics.interval`).
Elsewhere it is the difference of the means, without an interval. :mod:`ucbench.leaderboard.agreement` measures how far
the orders agree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ucbench.errors import UsageError, did_you_mean
from ucbench.leaderboard.agreement import Agreement, agreement
from ucbench.leaderboard.published import Figure
from ucbench.leaderboard.ranking import unranked, worst_case
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.grammar import parse, parse_chain
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.columns import BLOCK, BUDGET, ENTRY
from ucbench.results.records import records_in
from ucbench.results.statistics import Interval, interval
from ucbench.results.table import base_name, by_unit, grouped, measured, rows

#: Columns that identify a setting: everything but the seeds.
SETTING = (*BLOCK, *ENTRY, "defense")
#: Axes in which two boards may differ on purpose.
SCHEDULE = "schedule"
AXES = (*BLOCK, *(name for name in ENTRY if name != "poisoner"), SCHEDULE)
WORST, UNDEFENDED = "worst case", "no defense"

Setting = tuple[Any, ...]
#: Accuracies in percent by seed.
Seeds = Mapping[int, float]
#: The defenses that a worst case is taken over, in ONE and in OTHER.
Defenses = tuple[tuple[str, ...], tuple[str, ...]]


class Board(NamedTuple):
    """The contents of a leaderboard that a comparison uses.

    Attributes:
        accuracies: percent by setting (the values of :data:`SETTING`) and craft seed; by train seed for clean rows.
        defenses: the ranked defenses; None where they are unknown.
        unranked: base names of references and oracles, which are left out of the orders.
    """

    accuracies: Mapping[Setting, Seeds]
    defenses: tuple[str, ...] | None
    unranked: frozenset[str]


class Difference(NamedTuple):
    """One setting on both sides, spelled as in ONE.

    ``source`` is the paper and table of a published figure. ``change`` is paired over its ``n`` seeds; without an
    interval its half-width is NaN.
    """

    setting: Setting
    source: str
    one: Interval
    other: Interval
    change: Interval


class Order(NamedTuple):
    """The poisoners of one block in both orders, the best protected first.

    ``by`` is :data:`UNDEFENDED` or :data:`WORST`.
    """

    block: tuple[Any, ...]
    source: str
    by: str
    defenses: Defenses
    one: tuple[str, ...]
    other: tuple[str, ...]
    agreement: Agreement

    @property
    def moved(self) -> dict[str, tuple[int, int]]:
        """Places in ONE and in OTHER, from 1, of the poisoners whose place differs."""
        places = {label: (self.one.index(label) + 1, self.other.index(label) + 1) for label in self.one}
        return {label: (before, after) for label, (before, after) in places.items() if before != after}


class Comparison(NamedTuple):
    """Settings of one side only, differences of common settings, and orders of at least two poisoners.

    ``only_published`` are the figures without a counterpart in ONE.
    """

    only_one: tuple[Setting, ...]
    only_other: tuple[Setting, ...]
    only_published: tuple[Figure, ...]
    differences: tuple[Difference, ...]
    orders: tuple[Order, ...]


def read_board(folder: Path, defenses: Sequence[str] | None) -> Board:
    """The board of the records in ``folder``.

    Raises:
        DataError: if there are none, or one cannot be read.
    """
    table = rows(records_in(folder))
    accuracies = {
        setting: by_unit(members, ["test_accuracy"])["test_accuracy"].to_dict()
        for setting, members in grouped(measured(table), SETTING)
    }
    return Board(accuracies, None if defenses is None else tuple(defenses), unranked(table))


def compare_boards(one: Board, other: Board, across: Iterable[str] = ()) -> Comparison:
    """Two boards, matched in all axes but those named in ``across``.

    ``schedule`` is the part of the victim that ``--schedule`` changes: ``resnet18`` and ``resnet18:epochs=32`` match.

    Raises:
        UsageError: if ``across`` names an unknown axis, or several settings of one board differ in nothing else.
    """
    across = tuple(across)
    for name in across:
        if name not in AXES:
            raise UsageError(f"There is no axis {name!r}.{did_you_mean(name, AXES)} The axes: {', '.join(AXES)}.")
    first, second = _matched(one, across, "ONE"), _matched(other, across, "OTHER")
    differences = [
        _difference(setting, one.accuracies[setting], other.accuracies[second[key]])
        for key, setting in first.items()
        if key in second
    ]
    orders = []
    defenses = (one.defenses or (), other.defenses or ())
    other_blocks = _blocks(other, second)
    for key, block in _blocks(one, first).items():
        other_block = other_blocks.get(key, {})
        entries = [(entry, other_block[name]) for name, entry in block.items() if name in other_block]
        if entries:
            worst, block_orders = _compare_block(entries, defenses, one.unranked | other.unranked)
            differences += worst
            orders += block_orders
    return Comparison(
        tuple(setting for key, setting in first.items() if key not in second),
        tuple(setting for key, setting in second.items() if key not in first),
        (),
        tuple(sorted(differences, key=lambda difference: str(difference.setting[:-1]))),
        tuple(orders),
    )


def compare_published(one: Board, figures: Iterable[Figure]) -> Comparison:
    """A board and published figures, matched by base names, budget and mixture; each published table is one order."""
    by_name: dict[Setting, list[Figure]] = defaultdict(list)
    tables: dict[str, dict[Setting, float]] = defaultdict(dict)
    for figure in figures:
        by_name[figure.name].append(figure)
        tables[figure.source][figure.name] = figure.accuracy
    names = {setting: _base_name(setting) for setting in one.accuracies}
    return Comparison(
        tuple(setting for setting, name in names.items() if name not in by_name),
        (),
        tuple(figure for name, same in by_name.items() if name not in names.values() for figure in same),
        tuple(
            _difference(setting, one.accuracies[setting], {0: figure.accuracy}, figure.source)
            for setting, name in names.items()
            for figure in by_name.get(name, ())
        ),
        tuple(
            order
            for block, entries in _blocks(one, {setting: setting for setting in names}).items()
            for source, table in tables.items()
            for order in _published_orders(
                block, [entry for entry in entries.values() if entry.base not in one.unranked], source, table, one
            )
        ),
    )


class _Entry(NamedTuple):
    """One poisoner in one block: its setting without the defense, and its accuracies by defense and seed."""

    setting: Setting
    accuracies: dict[str, Seeds]

    @property
    def base(self) -> str:
        return base_name(self.setting[len(BLOCK)])

    @property
    def label(self) -> str:
        poisoner, preset, surrogate, labels = self.setting[len(BLOCK) :]
        details = [*([surrogate] if surrogate != "none" else []), *([f"labels {labels}"] if labels != "none" else [])]
        name = poisoner if preset == DEFAULT_PRESET else str(replace(parse(poisoner), preset=preset))
        return f"{name} ({', '.join(details)})" if details else name

    @property
    def undefended(self) -> Seeds:
        return self.accuracies.get(NO_DEFENSE, {})

    def worst(self, defenses: Sequence[str]) -> Seeds:
        """Each seed under the defense that the other half of the seeds selected; empty where that is unknown."""
        case = worst_case(pd.DataFrame(self.accuracies), defenses)
        return case.by_seed if case else {}


def _matched(board: Board, across: Sequence[str], name: str) -> dict[Setting, Setting]:
    """The board's settings by what must be equal on both sides."""
    matched: dict[Setting, Setting] = {}
    for setting in board.accuracies:
        key = tuple(
            "" if axis in across else _unscheduled(value) if axis == "victim" and SCHEDULE in across else value
            for axis, value in zip(SETTING, setting, strict=True)
        )
        if key in matched:
            raise UsageError(
                f"Across {', '.join(across)}, two rows of {name} differ in nothing else: {_describe(matched[key])}, and"
                f" {_describe(setting)}. Leave out one of the axes, or the rows."
            )
        matched[key] = setting
    return matched


def _unscheduled(victim: str) -> str:
    """The victim without the options that :func:`ucbench.training.recipe.scale_schedule` changes."""
    parsed = parse(victim)
    options = tuple(option for option in parsed.options if option[0] not in ("epochs", "milestones"))
    return str(replace(parsed, options=options))


def _blocks(board: Board, matched: Mapping[Setting, Setting]) -> dict[Setting, dict[Setting, _Entry]]:
    """Entries by matched block and matched name."""
    blocks: dict[Setting, dict[Setting, _Entry]] = defaultdict(dict)
    for key, setting in matched.items():
        entry = blocks[key[: len(BLOCK)]].setdefault(key[len(BLOCK) : -1], _Entry(setting[:-1], {}))
        entry.accuracies[setting[-1]] = board.accuracies[setting]
    return blocks


def _compare_block(
    entries: Sequence[tuple[_Entry, _Entry]], defenses: Defenses, unranked: frozenset[str]
) -> tuple[list[Difference], list[Order]]:
    """Differences of worst cases, and orders, in one block."""
    block = entries[0][0].setting[: len(BLOCK)]
    undefended = [(a.label, a.undefended, b.undefended) for a, b in entries if a.base not in unranked]
    orders = _order(block, "", UNDEFENDED, ((), ()), undefended)
    if max(map(len, defenses)) < 2:  # The worst case over one defense is the accuracy under it.
        return [], orders
    worst = [(a, a.worst(defenses[0]), b.worst(defenses[1])) for a, b in entries]
    orders += _order(block, "", WORST, defenses, [(a.label, x, y) for a, x, y in worst if a.base not in unranked])
    return [_difference((*a.setting, WORST), x, y) for a, x, y in worst if x and y], orders


def _difference(setting: Setting, one: Seeds, other: Seeds, source: str = "") -> Difference:
    first, second = interval(one.values()), interval(other.values())
    shared = [] if source else sorted(one.keys() & other.keys())
    change = interval([other[seed] - one[seed] for seed in shared])
    if change.n < 2:
        change = Interval(second.mean - first.mean, math.nan, change.n)
    return Difference(setting, source, first, second, change)


def _order(
    block: Setting, source: str, by: str, defenses: Defenses, scores: Sequence[tuple[str, Seeds, Seeds]]
) -> list[Order]:
    """The order of the labels with scores on both sides, if there are at least two."""
    one = {label: x for label, x, y in scores if x and y}
    other = {label: y for label, x, y in scores if x and y}
    if len(one) < 2:
        return []
    return [Order(block, source, by, defenses, _sorted(one), _sorted(other), agreement(one, other))]


def _sorted(scores: Mapping[str, Seeds]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda label: (math.fsum(scores[label].values()) / len(scores[label]), label)))


def _published_orders(
    block: Setting, entries: Sequence[_Entry], source: str, table: Mapping[Setting, float], board: Board
) -> list[Order]:
    """Orders of the entries that a published table has too."""

    def published(entry: _Entry, defense: str) -> Seeds:
        name = _base_name((*entry.setting, defense))
        return {0: table[name]} if name in table else {}

    shared = [entry for entry in entries if entry.undefended and published(entry, NO_DEFENSE)]
    undefended = [(entry.label, entry.undefended, published(entry, NO_DEFENSE)) for entry in shared]
    orders = _order(block, source, UNDEFENDED, ((), ()), undefended)
    ranked = board.defenses or ()
    bases = [_base_chain(defense) for defense in ranked]
    both = tuple(
        defense
        for defense, base in zip(ranked, bases, strict=True)
        if bases.count(base) == 1 and all(published(entry, defense) for entry in shared)
    )
    if len(both) > 1:
        worst = [
            (entry.label, entry.worst(both), {0: max(published(entry, defense)[0] for defense in both)})
            for entry in shared
        ]
        orders += _order(block, source, WORST, (both, both), worst)
    return orders


def _base_name(setting: Setting) -> Setting:
    """The :attr:`~ucbench.leaderboard.published.Figure.name` of a published figure of this setting."""
    values = dict(zip(SETTING, setting, strict=True))
    names = (base_name(values[name]) for name in ("dataset", "labeling", "victim"))
    budget = (values[name] for name in BUDGET)
    return (*names, *budget, base_name(values["poisoner"]), _base_chain(values["defense"]))


def _base_chain(defense: str) -> str:
    return "+".join(part.name for part in parse_chain(defense))


def _describe(setting: Setting) -> str:
    """A setting in words."""
    values = dict(zip(SETTING, setting, strict=True))
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "none", ""))
