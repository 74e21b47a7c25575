"""Two leaderboards, or one and published figures, side by side: what both have, how it differs, and whether they agree.

Two boards are matched by everything that makes an entry: data set, labeling, victim, budget, mixture, trusted images,
label access, poisoner, preset, surrogate and craft labels. Published figures name less, so they are matched by the
*base names* of data set, labeling, victim, poisoner and defenses, and by budget and mixture: ``resnet18:width=16``
stands beside a published ResNet-18, and whoever reads the difference has to know that.

A difference is OTHER minus ONE in points of accuracy. Where both have two or more of the same craft seeds, these are
paired: the difference of each seed, their mean, and its 95 % interval (:func:`ucbench.results.statistics.interval`).
Elsewhere it is the difference of the means, without an interval. :mod:`ucbench.leaderboard.agreement` measures how far
the orders agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from ucbench.results.columns import BLOCK, ENTRY
from ucbench.results.records import records_in
from ucbench.results.statistics import Interval, interval
from ucbench.results.table import base_name, by_unit, grouped, measured, rows

#: What makes a setting, beside its seeds.
SETTING = (*BLOCK, *ENTRY, "defense")
#: Axes that two boards may differ in on purpose.
SCHEDULE = "schedule"
AXES = (*BLOCK, *(name for name in ENTRY if name != "poisoner"), SCHEDULE)
WORST, UNDEFENDED = "worst case", "no defense"

Setting = tuple[Any, ...]
Seeds = Mapping[int, float]


@dataclass(frozen=True)
class Board:
    """What a comparison reads of a leaderboard.

    Attributes:
        accuracies: percent by setting (the values of :data:`SETTING`) and craft seed; train seed of clean rows.
        defenses: the ranked ones; None where they are not known.
        unranked: base names of references and oracles, which stand in no order.
    """

    accuracies: Mapping[Setting, Seeds]
    defenses: tuple[str, ...] | None
    unranked: frozenset[str]


class Difference(NamedTuple):
    """One setting on both sides; the setting is spelled as in ONE.

    ``source`` is the paper and table of a published figure. ``change`` is paired over its ``n`` seeds; without an
    interval, its half-width is NaN.
    """

    setting: Setting
    source: str
    one: Interval
    other: Interval
    change: Interval


class Order(NamedTuple):
    """The poisoners of one block in both orders, the best protected first.

    ``by`` is :data:`UNDEFENDED` or :data:`WORST`; ``defenses`` are those the worst case is over, in ONE and in OTHER.
    """

    block: tuple[Any, ...]
    source: str
    by: str
    defenses: tuple[tuple[str, ...], tuple[str, ...]]
    one: tuple[str, ...]
    other: tuple[str, ...]
    agreement: Agreement

    @property
    def moved(self) -> dict[str, tuple[int, int]]:
        """The poisoners whose place, counted from 1, is another in OTHER: their places in ONE and in OTHER."""
        places = {label: (self.one.index(label) + 1, self.other.index(label) + 1) for label in self.one}
        return {label: (before, after) for label, (before, after) in places.items() if before != after}


@dataclass(frozen=True)
class Comparison:
    """Settings that only one side has, differences of those that both have, orders of two poisoners or more."""

    only_one: tuple[Setting, ...]
    only_other: tuple[Setting | Figure, ...]
    differences: tuple[Difference, ...]
    orders: tuple[Order, ...]


def read_board(folder: Path, defenses: Sequence[str] | None) -> Board:
    """The board whose records lie in ``folder``.

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
    """Two boards, matched in all but the axes named by ``across``.

    ``schedule`` is the part of the victim that ``--schedule`` changes: ``resnet18`` and ``resnet18:epochs=32`` match.

    Raises:
        UsageError: if ``across`` names no axis, or several settings of one board differ in nothing else.
    """
    across = tuple(across)
    for name in across:
        if name not in AXES:
            raise UsageError(f"There is no axis {name!r}.{did_you_mean(name, AXES)} The axes: {', '.join(AXES)}.")
    first, second = _matched(one, across, "ONE"), _matched(other, across, "OTHER")
    shared = [key for key in first if key in second]
    differences = [_difference(first[key], one.accuracies[first[key]], other.accuracies[second[key]]) for key in shared]
    orders = []
    choice, unranked = (one.defenses or (), other.defenses or ()), one.unranked | other.unranked
    others = _blocks(other, second)
    for key, block in _blocks(one, first).items():
        facing = others.get(key, {})
        entries = [(block[name], facing[name]) for name in block if name in facing]
        if entries:
            worst, compared = _block_compared(entries, choice, unranked)
            differences += worst
            orders += compared
    return Comparison(
        tuple(setting for key, setting in first.items() if key not in second),
        tuple(setting for key, setting in second.items() if key not in first),
        tuple(sorted(differences, key=lambda found: str(found.setting[:-1]))),
        tuple(orders),
    )


def compare_published(one: Board, figures: Iterable[Figure]) -> Comparison:
    """A board and published figures, matched by base names, budget and mixture; each table stands for itself."""
    by_name: dict[tuple[Any, ...], list[Figure]] = {}
    for figure in figures:
        by_name.setdefault(_published_name(figure), []).append(figure)
    first = _matched(one, (), "ONE")
    names = {setting: _base_name(setting) for setting in first}
    differences = [
        _difference(setting, one.accuracies[setting], {0: figure.accuracy}, figure.source)
        for setting, name in names.items()
        for figure in by_name.get(name, ())
    ]
    tables: dict[str, dict[tuple[Any, ...], float]] = {}
    for name, found in by_name.items():
        for figure in found:
            tables.setdefault(figure.source, {})[name] = figure.accuracy
    orders = []
    for block in _blocks(one, first).values():
        ranked = [entry for entry in block.values() if entry.base not in one.unranked]
        for source, table in tables.items():
            orders += _published_orders(ranked, source, table, one.defenses)
    met = set(names.values())
    return Comparison(
        tuple(setting for setting, name in names.items() if name not in by_name),
        tuple(figure for name, found in by_name.items() if name not in met for figure in found),
        tuple(differences),
        tuple(orders),
    )


#: The defenses that a worst case is over, in ONE and in OTHER.
_Choice = tuple[tuple[str, ...], tuple[str, ...]]


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
        aside = [*([surrogate] if surrogate != "none" else []), *([f"labels {labels}"] if labels != "none" else [])]
        named = poisoner if preset == DEFAULT_PRESET else str(replace(parse(poisoner), preset=preset))
        return f"{named} ({', '.join(aside)})" if aside else named

    @property
    def undefended(self) -> Seeds:
        return self.accuracies.get(NO_DEFENSE, {})

    def worst(self, defenses: Sequence[str] | None) -> Seeds:
        """Each seed under the defense that the other half of the seeds chose; empty where that is not known."""
        case = worst_case(pd.DataFrame(self.accuracies), defenses or ())
        return case.by_seed if case else {}


def _matched(board: Board, across: Sequence[str], name: str) -> dict[Setting, Setting]:
    """The board's settings by what is compared of them."""
    found: dict[Setting, Setting] = {}
    for setting in board.accuracies:
        key = tuple(
            "" if axis in across else _unscheduled(value) if axis == "victim" and SCHEDULE in across else value
            for axis, value in zip(SETTING, setting, strict=True)
        )
        if key in found:
            raise UsageError(
                f"Across {', '.join(across)}, two rows of {name} differ in nothing else: {describe(found[key])}, and"
                f" {describe(setting)}. Leave out one of the axes, or the rows."
            )
        found[key] = setting
    return found


def _unscheduled(victim: str) -> str:
    """The victim without what :func:`ucbench.training.recipe.stretched` changes."""
    named = parse(victim)
    kept = tuple(option for option in named.options if option[0] not in ("epochs", "milestones"))
    return str(replace(named, options=kept))


def _blocks(board: Board, matched: Mapping[Setting, Setting]) -> dict[Setting, dict[Setting, _Entry]]:
    """Entries by matched block and matched name."""
    found: dict[Setting, dict[Setting, _Entry]] = {}
    for key, setting in matched.items():
        block = found.setdefault(key[: len(BLOCK)], {})
        entry = block.setdefault(key[len(BLOCK) : -1], _Entry(setting[:-1], {}))
        entry.accuracies[setting[-1]] = board.accuracies[setting]
    return found


def _block_compared(
    entries: Sequence[tuple[_Entry, _Entry]], choice: _Choice, unranked: frozenset[str]
) -> tuple[list[Difference], list[Order]]:
    """Differences of worst cases, and orders, in one block."""
    undefended = [(a, a.undefended, b.undefended) for a, b in entries]
    # Over a single defense, the worst case is no other figure and no other order.
    several = max(map(len, choice)) > 1
    worst = [(a, a.worst(choice[0]), b.worst(choice[1])) for a, b in entries] if several else []
    block = entries[0][0].setting[: len(BLOCK)]
    orders = [
        order
        for by, defenses, scores in ((UNDEFENDED, ((), ()), undefended), (WORST, choice, worst))
        for order in _order(
            block, "", by, defenses, {a.label: (x, y) for a, x, y in scores if x and y and a.base not in unranked}
        )
    ]
    return [_difference((*a.setting, WORST), x, y) for a, x, y in worst if x and y], orders


def _difference(setting: Setting, one: Seeds, other: Seeds, source: str = "") -> Difference:
    first, second = interval(one.values()), interval(other.values())
    shared = [] if source else sorted(one.keys() & other.keys())
    change = interval([other[seed] - one[seed] for seed in shared])
    if change.n < 2:
        change = Interval(second.mean - first.mean, math.nan, change.n)
    return Difference(setting, source, first, second, change)


def _order(
    block: tuple[Any, ...],
    source: str,
    by: str,
    defenses: _Choice,
    pairs: Mapping[str, tuple[Seeds, Seeds]],
) -> list[Order]:
    """One order, or none of fewer than two."""
    if len(pairs) < 2:
        return []
    one, other = ({label: pair[side] for label, pair in pairs.items()} for side in (0, 1))
    return [Order(block, source, by, defenses, _sorted(one), _sorted(other), agreement(one, other))]


def _sorted(scores: Mapping[str, Seeds]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda label: (math.fsum(scores[label].values()) / len(scores[label]), label)))


def _published_orders(
    ranked: Sequence[_Entry], source: str, table: Mapping[tuple[Any, ...], float], defenses: Sequence[str] | None
) -> list[Order]:
    def figure(entry: _Entry, defense: str) -> float | None:
        return table.get(_base_name((*entry.setting, defense)))

    known = {entry.label: (entry, figure(entry, NO_DEFENSE)) for entry in ranked if entry.undefended}
    shared = {label: (entry, value) for label, (entry, value) in known.items() if value is not None}
    if not shared:
        return []
    block = next(iter(shared.values()))[0].setting[: len(BLOCK)]
    pairs: dict[str, tuple[Seeds, Seeds]] = {
        label: (entry.undefended, {0: value}) for label, (entry, value) in shared.items()
    }
    found = _order(block, source, UNDEFENDED, ((), ()), pairs)
    bases = [_base_chain(defense) for defense in defenses or ()]
    both = tuple(
        defense
        for defense, base in zip(defenses or (), bases, strict=True)
        if bases.count(base) == 1 and all(figure(entry, defense) is not None for entry, _ in shared.values())
    )
    if len(both) > 1:
        worst: dict[str, tuple[Seeds, Seeds]] = {
            label: (entry.worst(both), {0: max(figure(entry, defense) or 0.0 for defense in both)})
            for label, (entry, _) in shared.items()
        }
        complete = {label: pair for label, pair in worst.items() if pair[0]}
        found += _order(block, source, WORST, (both, both), complete)
    return found


def _published_name(figure: Figure) -> tuple[Any, ...]:
    return (
        figure.dataset, figure.labeling, figure.victim, figure.norm, figure.epsilon, figure.mixture, figure.poisoner,
        figure.defense,
    )  # fmt: skip


def _base_name(setting: Setting) -> tuple[Any, ...]:
    """What a published figure of the same would be called; see :func:`_published_name`."""
    values = dict(zip(SETTING, setting, strict=True))
    named = (base_name(values[name]) for name in ("dataset", "labeling", "victim"))
    budget = (values["norm"], values["epsilon"], values["mixture"])
    return (*named, *budget, base_name(values["poisoner"]), _base_chain(values["defense"]))


def _base_chain(defense: str) -> str:
    return "+".join(part.name for part in parse_chain(defense))


def describe(setting: Setting) -> str:
    """A setting in words, or the beginning of one: a block."""
    values = dict(zip(SETTING, setting, strict=False))
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "none", ""))
