"""Compares two leaderboards, or one with published figures: common settings, differences, and agreement of the orders.

Two boards are matched by everything that identifies an entry: data set, labeling, victim, budget, mixture, trusted
images, label access, poisoner, preset, surrogate and craft labels. Published figures state less, so they are matched by
the *base names* of data set, labeling, victim, poisoner and defenses, and by budget and mixture:
``resnet18:width=16`` matches a published ResNet-18, and readers of the difference must take that into account.

A difference is OTHER minus ONE in points of accuracy. Where both have two or more of the same craft seeds, these are
paired: the difference of each seed, their mean, and its 95 % interval (:func:`ucbench.results.statistics.t_interval`).
Elsewhere it is the difference of the means, without an interval. :mod:`ucbench.leaderboard.agreement` measures how far
the orders agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ucbench.errors import UsageError, did_you_mean
from ucbench.leaderboard.agreement import Agreement, agreement
from ucbench.leaderboard.published import Figure
from ucbench.leaderboard.ranking import unranked, usable, with_none, worst_case
from ucbench.matrix.names import entry_text
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.grammar import base_name, parse, parse_chain
from ucbench.results.columns import BLOCK, BUDGET, DIFFERENCE_AXES, ENTRY, SCHEDULE
from ucbench.results.records import records_in
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.table import by_unit, check_worlds, measured, plain, rows

#: Columns whose values are a setting here: everything but the seeds.
COMPARED = (*BLOCK, *ENTRY, "defense")
_VICTIM = COMPARED.index("victim")
WORST, UNDEFENDED = "worst case", "no defense"

Setting = tuple[Any, ...]
#: Accuracies in percent by seed.
Seeds = Mapping[int, float]
#: The defenses that a worst case is taken over, in ONE and in OTHER.
Defenses = tuple[tuple[str, ...], tuple[str, ...]]


class Board(NamedTuple):
    """The contents of a leaderboard that a comparison uses.

    Attributes:
        accuracies: percent, one row per setting and seed: the columns :data:`COMPARED`, ``unit`` (the craft seed; the
            train seed of clean rows) and ``test_accuracy``.
        defenses: the ranked defenses, ``none`` among them if it was run; None where they are unknown.
        unranked: base names of references and oracles, which are left out of the orders.
    """

    accuracies: pd.DataFrame
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
        DataError: if there are none, one cannot be read, or those to be averaged differ in images or numerics.
    """
    table = rows(records_in(folder))
    check_worlds(table)
    accuracies = by_unit(measured(table), ["test_accuracy"], COMPARED).reset_index()
    ranked = None if defenses is None else with_none(defenses, accuracies["defense"])
    return Board(accuracies, ranked, unranked(table))


def compare_boards(one: Board, other: Board, across: Iterable[str] = ()) -> Comparison:
    """Two boards, matched in all axes but those named in ``across``.

    ``schedule`` is the part of the victim that ``--schedule`` changes: ``resnet18`` and ``resnet18:epochs=24`` match.

    Raises:
        UsageError: if ``across`` names an unknown axis, or several settings of one board differ in nothing else.
    """
    across = tuple(across)
    for name in across:
        if name not in DIFFERENCE_AXES:
            raise UsageError(
                f"There is no axis {name!r}.{did_you_mean(name, DIFFERENCE_AXES)}"
                f" The axes: {', '.join(DIFFERENCE_AXES)}."
            )
    defenses = (one.defenses or (), other.defenses or ())
    boards = [_matched(one, across, "ONE"), _matched(other, across, "OTHER")]
    # The worst case over one defense is the accuracy under it.
    if max(map(len, defenses)) > 1:
        boards = [_with_worst(board, ranked) for board, ranked in zip(boards, defenses, strict=True)]
    both = pd.concat(boards, keys=["one", "other"], names=["side"]).reset_index("side")
    differences: list[Difference] = []
    alone: dict[str, list[Setting]] = {"one": [], "other": []}
    for _, members in both.groupby(_KEY, sort=False):
        setting, seeds = members["setting"].iloc[0], members.pivot(index="unit", columns="side", values="accuracy")
        if len(seeds.columns) == 2:
            differences.append(_difference(setting, seeds["one"], seeds["other"]))
        elif setting[-1] != WORST:
            alone[seeds.columns[0]].append(setting)
    return Comparison(
        tuple(alone["one"]),
        tuple(alone["other"]),
        (),
        tuple(sorted(differences, key=lambda difference: str(difference.setting[:-1]))),
        tuple(_orders(both, defenses, one.unranked | other.unranked)),
    )


def compare_published(one: Board, figures: Iterable[Figure]) -> Comparison:
    """A board and published figures, matched by base names, budget and mixture; each published table is one order."""
    figures = tuple(figures)
    board = _matched(one, (), "ONE")
    board = board.assign(published=board["setting"].map(_base_name))
    published = pd.DataFrame(
        [(figure.name, figure.source, figure.accuracy, figure) for figure in figures],
        columns=["published", "source", "accuracy", "figure"],
    )
    settings = board.drop_duplicates(_KEY)[["setting", "published"]]
    alone = published[~published["published"].isin(settings["published"])]
    accuracies = {
        setting: members.set_index("unit")["accuracy"] for setting, members in board.groupby("setting", sort=False)
    }
    return Comparison(
        tuple(settings.loc[~settings["published"].isin(published["published"]), "setting"]),
        (),
        tuple(figure for _, same in alone.groupby("published", sort=False) for figure in same["figure"]),
        tuple(
            _difference(line.setting, accuracies[line.setting], pd.Series([line.accuracy]), line.source)
            for line in settings.merge(published, on="published").itertuples()
        ),
        tuple(
            order
            for _, members in board.groupby("block", sort=False)
            for source, table in published.groupby("source", sort=False)
            for order in _published_orders(members, source, table, one)
        ),
    )


#: Columns that identify a matched setting: the values of BLOCK and of ENTRY as tuples, and the defense.
_KEY = ["block", "name", "defense"]


def _matched(board: Board, across: Sequence[str], side: str) -> pd.DataFrame:
    """The board's accuracies by ``setting`` (the values of :data:`COMPARED`), by :data:`_KEY` and ``unit``.

    The key has what must be equal on both sides.
    """
    settings = board.accuracies[list(COMPARED)]
    keys = settings.assign(victim=settings["victim"].map(_unscheduled)) if SCHEDULE in across else settings
    keys = keys.assign(**{name: "" for name in COMPARED if name in across})
    matched = pd.DataFrame(
        {
            "setting": _tuples(settings),
            "block": _tuples(keys[list(BLOCK)]),
            "name": _tuples(keys[list(ENTRY)]),
            "defense": keys["defense"],
            "unit": board.accuracies["unit"],
            "accuracy": board.accuracies["test_accuracy"],
        }
    )
    for _, members in matched.drop_duplicates("setting").groupby(_KEY, sort=False):
        if len(members) > 1:
            first, second = members["setting"].iloc[:2]
            raise UsageError(
                f"Across {', '.join(across)}, two rows of {side} differ in nothing else: {_describe(first)}, and"
                f" {_describe(second)}. Leave out one of the axes, or the rows."
            )
    return matched


def _tuples(table: pd.DataFrame) -> pd.Series:
    """The rows as tuples with None for missing values."""
    return pd.Series(list(plain(table).itertuples(index=False, name=None)), table.index, dtype=object)


def _with_worst(board: pd.DataFrame, defenses: Sequence[str]) -> pd.DataFrame:
    """The accuracies, and those of the worst case over ``defenses``, as of one more defense.

    As in leaderboards, it is over those that the victim can use.
    """
    worst = [
        ((*members["setting"].iloc[0][:-1], WORST), block, name, WORST, seed, accuracy)
        for (block, name), members in board.groupby(["block", "name"], sort=False)
        if (case := worst_case(_by_defense(members), usable(defenses, members["setting"].iloc[0][_VICTIM])))
        for seed, accuracy in case.by_seed.items()
    ]
    return pd.concat([board, pd.DataFrame(worst, columns=board.columns)], ignore_index=True) if worst else board


def _by_defense(members: pd.DataFrame) -> pd.DataFrame:
    """The accuracies of one poisoner in one block, by seed (rows) and defense (columns)."""
    return members.pivot(index="unit", columns="defense", values="accuracy")


def _unscheduled(victim: str) -> str:
    """The victim without the options that :func:`ucbench.training.recipe.scale_schedule` changes."""
    parsed = parse(victim)
    options = tuple(option for option in parsed.options if option[0] not in ("epochs", "milestones"))
    return str(replace(parsed, options=options))


def _difference(setting: Setting, one: pd.Series, other: pd.Series, source: str = "") -> Difference:
    first, second = t_interval(one), t_interval(other)
    change = t_interval(() if source else other - one)
    if not change.n:  # no seed in common
        change = Interval(second.mean - first.mean, math.nan, 0)
    return Difference(setting, source, first, second, change)


def _orders(both: pd.DataFrame, defenses: Defenses, unranked: frozenset[str]) -> Iterator[Order]:
    """The orders in every block, without defense and by worst case."""
    sides = zip(both["side"], both["block"], both["setting"], strict=True)
    victims = {(side, block): str(setting[_VICTIM]) for side, block, setting in sides}
    # Settings are spelled as in ONE, which comes first.
    both = both.assign(setting=both.groupby(_KEY, sort=False)["setting"].transform("first"))
    common = both[both.groupby(_KEY, sort=False)["side"].transform("nunique") == 2]
    ranked = common[~common["setting"].map(_base).isin(unranked)]
    for key, block in ranked.groupby("block", sort=False):
        over_one, over_other = (
            usable(listed, victims[side, key]) for listed, side in zip(defenses, ("one", "other"), strict=True)
        )
        for by, defense, over in ((UNDEFENDED, NO_DEFENSE, ((), ())), (WORST, WORST, (over_one, over_other))):
            rows = block[block["defense"] == defense]
            one, other = (_scores(rows[rows["side"] == side]) for side in ("one", "other"))
            yield from _order(block["setting"].iloc[0][: len(BLOCK)], "", by, over, one, other)


def _scores(members: pd.DataFrame) -> dict[str, Seeds]:
    """Accuracies by label and seed."""
    by_setting = members.groupby("setting", sort=False)
    return {_label(setting): dict(zip(same["unit"], same["accuracy"], strict=True)) for setting, same in by_setting}


def _base(setting: Setting) -> str:
    return base_name(setting[len(BLOCK)])


def _label(setting: Setting) -> str:
    return entry_text(dict(zip(COMPARED, setting, strict=True)))


def _order(
    block: Setting, source: str, by: str, defenses: Defenses, one: Mapping[str, Seeds], other: Mapping[str, Seeds]
) -> Iterator[Order]:
    """The order of labels that have scores on both sides, if there are at least two."""
    if len(one) > 1:
        yield Order(block, source, by, defenses, _sorted(one), _sorted(other), agreement(one, other))


def _sorted(scores: Mapping[str, Seeds]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda label: (math.fsum(scores[label].values()) / len(scores[label]), label)))


def _published_orders(members: pd.DataFrame, source: str, table: pd.DataFrame, board: Board) -> Iterator[Order]:
    """Orders of the poisoners of one block that a published table has too."""
    accuracies = dict(zip(table["published"], table["accuracy"], strict=True))

    def published(setting: Setting, defense: str) -> float | None:
        return accuracies.get(_base_name((*setting[:-1], defense)))

    ranked = members[~members["setting"].map(_base).isin(board.unranked)]
    undefended = ranked[(ranked["defense"] == NO_DEFENSE) & ranked["published"].isin(table["published"])]
    settings = {_label(setting): setting for setting in undefended["setting"].unique()}
    if not settings:
        return
    block = undefended["setting"].iloc[0][: len(BLOCK)]
    figures = {label: {0: accuracies[_base_name(setting)]} for label, setting in settings.items()}
    yield from _order(block, source, UNDEFENDED, ((), ()), _scores(undefended), figures)
    defenses = usable(board.defenses or (), block[_VICTIM])
    bases = [_base_chain(defense) for defense in defenses]
    both = tuple(
        defense
        for defense, base in zip(defenses, bases, strict=True)
        if bases.count(base) == 1 and all(published(setting, defense) is not None for setting in settings.values())
    )
    if len(both) > 1:
        shared = ranked[ranked["name"].isin(undefended["name"])].groupby("name", sort=False)
        cases = {_label(same["setting"].iloc[0]): worst_case(_by_defense(same), both) for _, same in shared}
        worst = {label: case.by_seed for label, case in cases.items() if case}
        figures = {label: {0: max(published(settings[label], defense) or 0.0 for defense in both)} for label in worst}
        yield from _order(block, source, WORST, (both, both), worst, figures)


def _base_name(setting: Setting) -> Setting:
    """The :attr:`~ucbench.leaderboard.published.Figure.name` of a published figure of this setting."""
    values = dict(zip(COMPARED, setting, strict=True))
    names = (base_name(values[name]) for name in ("dataset", "labeling", "victim"))
    budget = (values[name] for name in BUDGET)
    return (*names, *budget, base_name(values["poisoner"]), _base_chain(values["defense"]))


def _base_chain(defense: str) -> str:
    return "+".join(part.name for part in parse_chain(defense))


def _describe(setting: Setting) -> str:
    """A setting in words."""
    values = dict(zip(COMPARED, setting, strict=True))
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "none", ""))
