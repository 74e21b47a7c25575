"""Whether the victims of a leaderboard put its releases in the same order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from ucbench.leaderboard.agreement import Agreement, agreement
from ucbench.matrix.names import entry_text, extras
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.axis_columns import budget_text
from ucbench.results.columns import BUDGET, ENTRY, SETTING, values_of
from ucbench.results.gate import Gate, State, judgement_of
from ucbench.results.statistics import Interval, nested, t_interval
from ucbench.results.table import Row, check_worlds, dicts, grouped, measured

#: Columns that victims share.
_SHARED = ("dataset", "labeling", "trusted")


class Victims(NamedTuple):
    """Releases on which several victims were trained, without defense.

    Attributes:
        shared: data set, labeling and number of trusted images, by name.
        releases: accuracies in percent by release and victim, in the order of the first victim, then of the next among
            the releases that it lacks.
        pairs: how far the orders of two victims agree, over the releases that both have.
        gates: the states of the gate in each victim's settings, sorted, by victim.
    """

    shared: Row
    releases: Mapping[str, Mapping[str, Interval]]
    pairs: Mapping[tuple[str, str], Agreement]
    gates: Mapping[str, tuple[State, ...]]


def by_victim(table: pd.DataFrame, verdicts: Sequence[Gate] = ()) -> list[Victims]:
    """The releases of every data set and labeling that has several victims.

    All releases count, of any budget and label access, references among them, since a victim is asked here and not a
    poisoner; clean images are none.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        verdicts: the gates of its settings.

    Raises:
        DataError: if rows that would be averaged differ in images or numerics.
    """
    check_worlds(table)
    done = measured(table)
    done = done[(done["poisoner"] != CLEAN) & (done["defense"] == NO_DEFENSE)]
    settings = []
    for shared, cells in grouped(done, _SHARED):
        scores: dict[str, dict[str, Mapping[int, float]]] = {}
        for release, same in grouped(cells, ("victim", *ENTRY, *BUDGET)):
            means = nested(same["test_accuracy"], same["unit"]).means
            scores.setdefault(str(release["victim"]), {})[_name(release)] = means
        if len(scores) < 2:
            continue
        releases: dict[str, dict[str, Interval]] = {}
        none = Interval(math.inf, math.nan, 0)
        for victim, of_victim in scores.items():
            for name, seeds in of_victim.items():
                releases.setdefault(name, {})[victim] = t_interval(seeds.values())
        order = sorted(releases, key=lambda name: [releases[name].get(victim, none).mean for victim in scores])
        pairs = {(one, other): agreement(scores[one], scores[other]) for one, other in combinations(scores, 2)}
        gates = {victim: _states(cells[cells["victim"] == victim], verdicts) for victim in scores}
        settings.append(Victims(shared, {name: releases[name] for name in order}, pairs, gates))
    return settings


def _states(cells: pd.DataFrame, verdicts: Sequence[Gate]) -> tuple[State, ...]:
    settings = {values_of(row, SETTING) for row in dicts(cells)}
    return tuple(sorted({judgement_of(verdicts, setting).state for setting in settings}))


def _name(values: Row) -> str:
    return entry_text(values, budget_text(values), *extras(values))
