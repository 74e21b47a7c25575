"""The blocks of a leaderboard, and in each its poisoners with their ranks, worst cases and effects."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ucbench.leaderboard.ranking import (
    WorstCase,
    accuracies_of,
    clean_beside,
    effect,
    lacking,
    unranked,
    usable,
    with_none,
    worst_case,
)
from ucbench.leaderboard.separation import places, separated
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import BLOCK, ENTRY, EXPLOITER, SETTING, values_of
from ucbench.results.gate import Gate, Judgement, judgement_of
from ucbench.results.statistics import Interval, Nested, nested
from ucbench.results.table import Row, by_unit, check_worlds, grouped, measured


@dataclass(frozen=True)
class Unprotected:
    """What the exploiter of a block reaches on clean images, in percent; the units are trainings.

    Attributes:
        undefended: without defense.
        worst: the highest mean over the ranked defenses; None where one is missing.
        defense: the defense of that accuracy.
    """

    undefended: Nested
    worst: Interval | None
    defense: str


@dataclass(frozen=True, eq=False)
class Entry:
    """One poisoner in one block; accuracies in percent.

    Attributes:
        values: of :data:`ucbench.results.columns.ENTRY`, by name.
        rank: the places that separations leave open, such as ``1-3``; empty for references, oracles, where a ranked
            defense is missing, where only one poisoner is left and where the gate was not passed.
        seeds: number of crafts; where a ranked defense is missing, that of the undefended rows.
        undefended: accuracy without defense.
        mean: mean accuracy over the available ranked defenses.
        worst: the highest accuracy an exploiter reaches; None where a ranked defense is missing.
        bias: estimated selection bias of ``worst`` in points; NaN with one craft or without worst case.
        defense: the defense of that accuracy.
        effect: removed fraction of the gap between clean accuracy and chance; None where the gate was not passed.
        clean: the highest accuracy an exploiter reaches on clean images.
        missing: ranked defenses without complete rows: those in which any craft lacks a value.
        guess: mean of ``guess_accuracy`` without defense; NaN where it is unknown.
        purity: mean of ``purity`` without defense; NaN where no images share a perturbation.
    """

    values: Row
    rank: str
    seeds: int
    undefended: Nested
    mean: float | None
    worst: Interval | None
    bias: float
    defense: str
    effect: Interval | None
    clean: float | None
    missing: tuple[str, ...]
    guess: float = math.nan
    purity: float = math.nan


@dataclass(frozen=True, eq=False)
class Block:
    """Entries that rank among each other: those of one setting and label access.

    Attributes:
        values: of :data:`ucbench.results.columns.BLOCK`, by name.
        entries: the best protected first, or by name where the gate was not passed.
        gate: the judgement of its setting.
        ranked: the ranked defenses that its victim can use, ``none`` among them.
        inapplicable: ranked defenses that its victim, which trains itself, cannot use; all else is over the others.
        unprotected: its exploiter on clean images; None if that was not run.
    """

    values: Row
    entries: tuple[Entry, ...]
    gate: Judgement
    ranked: tuple[str, ...] = ()
    inapplicable: tuple[str, ...] = ()
    unprotected: Unprotected | None = None

    @property
    def setting(self) -> tuple[Any, ...]:
        """The values of :data:`ucbench.results.columns.SETTING`."""
        return values_of(self.values, SETTING)


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """What exporters write.

    Attributes:
        blocks: in the order of the results.
        versions: of the components behind them, by kind and name.
    """

    blocks: tuple[Block, ...]
    versions: Mapping[tuple[str, str], Collection[int]] = field(default_factory=dict)


def blocks(table: pd.DataFrame, defenses: Sequence[str], gates: Sequence[Gate]) -> tuple[Block, ...]:
    """The blocks of a table, in order of appearance.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        defenses: the suite's ranked defenses, as its rows write them; ``none`` is always among them.
        gates: of all settings, as of :func:`ucbench.results.gate.gates`.

    Raises:
        DataError: if rows that would be averaged differ in images or numerics.
    """
    check_worlds(table)
    without_rank = unranked(table)
    done = measured(table)
    defenses = with_none(defenses, done["defense"])
    is_clean = done["poisoner"] == CLEAN
    by_victim = {victim: usable(defenses, str(victim)) for victim in done["victim"].unique()}
    clean_cells = {values_of(shared, EXPLOITER): cells for shared, cells in grouped(done[is_clean], EXPLOITER)}
    clean = {
        key: worst_case(accuracies_of(cells), by_victim[cells["victim"].iloc[0]]) for key, cells in clean_cells.items()
    }
    unprotected = {key: _unprotected(cells, clean[key]) for key, cells in clean_cells.items()}
    result = []
    for shared, members in grouped(done[~is_clean], BLOCK):
        exploiter = values_of(shared, EXPLOITER)
        gate = judgement_of(gates, values_of(shared, SETTING))
        passed = gate.state == "passed"
        applicable = by_victim[shared["victim"]]
        poisoners = [
            (name, cells, worst_case(accuracies_of(cells), applicable)) for name, cells in grouped(members, ENTRY)
        ]
        competing = {
            _name(name): case.by_seed
            for name, cells, case in poisoners
            if case is not None and cells["base"].iloc[0] not in without_rank
        }
        ranks = places(competing, separated(competing)) if passed and len(competing) > 1 else {}
        # Without a passed gate, the order must not look like a ranking.
        poisoners.sort(
            key=lambda one: (
                _name(one[0]) not in competing,
                one[2].accuracy.mean if one[2] and passed else math.inf,
                _name(one[0]),
            )
        )
        result.append(
            Block(
                shared,
                tuple(
                    _entry(name, ranks.get(_name(name), ""), cells, case, clean.get(exploiter), applicable, passed)
                    for name, cells, case in poisoners
                ),
                gate,
                applicable,
                tuple(defense for defense in defenses if defense not in applicable),
                unprotected.get(exploiter),
            )
        )
    return tuple(result)


def _name(values: Row) -> str:
    return str(values_of(values, ENTRY))


def _entry(
    values: Row,
    rank: str,
    cells: pd.DataFrame,
    case: WorstCase | None,
    clean: WorstCase | None,
    defenses: Sequence[str],
    passed: bool,
) -> Entry:
    plain = cells[cells["defense"] == NO_DEFENSE]
    undefended = nested(plain["test_accuracy"], plain["unit"])
    shares = by_unit(plain, ["guess_accuracy", "purity"]).mean()
    accuracies = accuracies_of(cells)
    # A defense that lacks crafts counts as much as the others.
    means = [statistics.fmean(accuracies[defense].dropna()) for defense in defenses if defense in accuracies]
    removed = None
    if passed and case and clean:
        beside = clean_beside(cells[cells["defense"] == case.defense], clean)
        removed = effect(beside, case, float(cells["chance"].iloc[0]))
    return Entry(
        values,
        rank,
        len(case.by_seed) if case else undefended.interval.n,
        undefended,
        statistics.fmean(means) if means else None,
        case.accuracy if case else None,
        case.bias if case else math.nan,
        case.defense if case else "",
        removed,
        clean.accuracy.mean if clean else None,
        lacking(accuracies, defenses),
        float(shares["guess_accuracy"]),
        float(shares["purity"]),
    )


def _unprotected(cells: pd.DataFrame, case: WorstCase | None) -> Unprotected:
    plain = cells[cells["defense"] == NO_DEFENSE]
    undefended = nested(plain["test_accuracy"], plain["unit"])
    return Unprotected(undefended, case.accuracy if case else None, case.defense if case else "")
