"""Entries of a leaderboard: each poisoner of each block, with its rank, worst case and effect."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from ucbench.results.table import by_unit, check_worlds, grouped, measured


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


@dataclass(frozen=True)
class Entry:
    """One poisoner in one block; accuracies in percent.

    Attributes:
        block: the values of :data:`ucbench.results.columns.BLOCK`.
        name: the values of :data:`ucbench.results.columns.ENTRY`.
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
        gate: the judgement of the block's regime.
        inapplicable: ranked defenses that the block's victim, which trains itself, cannot use; all else is over the
            others.
        unprotected: the block's exploiter on clean images; None if that was not run.
        guess: mean of ``guess_accuracy`` without defense; NaN where it is unknown.
        purity: mean of ``purity`` without defense; NaN where no images share a perturbation.
        ranked: the ranked defenses that the block's victim can use, ``none`` among them.
        versions: of the components of all entries, by kind and name; empty where they are unknown.
    """

    block: tuple[Any, ...]
    name: tuple[Any, ...]
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
    gate: Judgement
    inapplicable: tuple[str, ...] = ()
    unprotected: Unprotected | None = None
    guess: float = math.nan
    purity: float = math.nan
    ranked: tuple[str, ...] = ()
    versions: Mapping[tuple[str, str], Collection[int]] = field(default_factory=dict, hash=False)

    @property
    def named(self) -> dict[str, Any]:
        """The values of :data:`ucbench.results.columns.ENTRY` by name."""
        return dict(zip(ENTRY, self.name, strict=True))


def entries(
    table: pd.DataFrame,
    defenses: Sequence[str],
    gates: Sequence[Gate],
    versions: Mapping[tuple[str, str], Collection[int]] | None = None,
) -> list[Entry]:
    """The entries, block by block: the best protected first, or by name where the gate was not passed.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        defenses: the suite's ranked defenses, as its rows write them; ``none`` is always among them.
        gates: of all settings, as of :func:`ucbench.results.gate.gates`.
        versions: of the components, as of :func:`ucbench.leaderboard.earlier.stated_versions`, where readers shall
            learn of them.

    Raises:
        DataError: if rows that would be averaged differ in images or numerics.
    """
    check_worlds(table)
    without_rank = unranked(table)
    done = measured(table)
    defenses = with_none(defenses, done["defense"])
    is_clean = done["poisoner"] == CLEAN
    by_victim = {victim: usable(defenses, str(victim)) for victim in done["victim"].unique()}
    clean_cells = dict(grouped(done[is_clean], EXPLOITER))
    clean = {
        key: worst_case(accuracies_of(cells), by_victim[cells["victim"].iloc[0]]) for key, cells in clean_cells.items()
    }
    unprotected = {key: _unprotected(cells, clean[key]) for key, cells in clean_cells.items()}
    result = []
    for block, members in grouped(done[~is_clean], BLOCK):
        shared = dict(zip(BLOCK, block, strict=True))
        exploiter = values_of(shared, EXPLOITER)
        reference = clean.get(exploiter)
        gate = judgement_of(gates, values_of(shared, SETTING))
        applicable = by_victim[shared["victim"]]
        inapplicable = tuple(defense for defense in defenses if defense not in applicable)
        poisoners = {
            name: (cells, worst_case(accuracies_of(cells), applicable)) for name, cells in grouped(members, ENTRY)
        }
        competing = {
            str(name): case.by_seed
            for name, (cells, case) in poisoners.items()
            if case is not None and cells["base"].iloc[0] not in without_rank
        }
        is_ranked = gate.state == "passed" and len(competing) > 1
        ranks = places(competing, separated(competing)) if is_ranked else {}
        block_entries = [
            replace(
                _entry(block, name, ranks.get(str(name), ""), cells, case, reference, applicable, gate),
                inapplicable=inapplicable,
                unprotected=unprotected.get(exploiter),
                versions=versions or {},
            )
            for name, (cells, case) in poisoners.items()
        ]
        result += sorted(block_entries, key=lambda entry: _order(entry, str(entry.name) in competing))
    return result


def _entry(
    block: tuple[Any, ...],
    name: tuple[Any, ...],
    rank: str,
    cells: pd.DataFrame,
    case: WorstCase | None,
    clean: WorstCase | None,
    defenses: Sequence[str],
    gate: Judgement,
) -> Entry:
    plain = cells[cells["defense"] == NO_DEFENSE]
    undefended = nested(plain["test_accuracy"], plain["unit"])
    shares = by_unit(plain, ["guess_accuracy", "purity"]).mean()
    accuracies = accuracies_of(cells)
    # A defense that lacks crafts counts as much as the others.
    means = [statistics.fmean(accuracies[defense].dropna()) for defense in defenses if defense in accuracies]
    removed = None
    if gate.state == "passed" and case and clean:
        beside = clean_beside(cells[cells["defense"] == case.defense], clean)
        removed = effect(beside, case, float(cells["chance"].iloc[0]))
    return Entry(
        block,
        name,
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
        gate,
        guess=float(shares["guess_accuracy"]),
        purity=float(shares["purity"]),
        ranked=tuple(defenses),
    )


def _unprotected(cells: pd.DataFrame, case: WorstCase | None) -> Unprotected:
    plain = cells[cells["defense"] == NO_DEFENSE]
    undefended = nested(plain["test_accuracy"], plain["unit"])
    return Unprotected(undefended, case.accuracy if case else None, case.defense if case else "")


def _order(entry: Entry, competes: bool) -> tuple[Any, ...]:
    """Without a passed gate, the order must not look like a ranking."""
    worst = entry.worst.mean if entry.worst and entry.gate.state == "passed" else math.inf
    return (not competes, worst, str(entry.name))
