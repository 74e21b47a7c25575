"""Entries of a leaderboard: each poisoner of each block, with its rank, worst case and effect."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ucbench.leaderboard.ranking import WorstCase, accuracies_of, effect, ranks, unranked, worst_case
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import BLOCK, ENTRY, EXPLOITER
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.table import grouped, measured

#: Fewer craft seeds than these are exploratory.
ENOUGH_SEEDS = 4


@dataclass(frozen=True)
class Entry:
    """One poisoner in one block; accuracies in percent.

    Attributes:
        block: the values of :data:`ucbench.results.columns.BLOCK`.
        name: the values of :data:`ucbench.results.columns.ENTRY`.
        rank: None for references, oracles, and where a ranked defense is missing.
        seeds: number of craft seeds; where a ranked defense is missing, that of the undefended rows.
        undefended: accuracy without defense.
        mean: mean accuracy over the available ranked defenses.
        worst: the highest accuracy an exploiter reaches; None where a ranked defense is missing.
        defense: the defense of that accuracy; two where the halves of the seeds selected different ones.
        effect: removed fraction of the gap between clean accuracy and chance.
        clean: the highest accuracy an exploiter reaches on clean images.
        missing: ranked defenses without complete rows.
    """

    block: tuple[Any, ...]
    name: tuple[Any, ...]
    rank: int | None
    seeds: int
    undefended: Interval
    mean: float | None
    worst: Interval | None
    defense: str
    effect: Interval | None
    clean: float | None
    missing: tuple[str, ...]

    @property
    def named(self) -> dict[str, Any]:
        """The values of :data:`ucbench.results.columns.ENTRY` by name."""
        return dict(zip(ENTRY, self.name, strict=True))


def entries(table: pd.DataFrame, defenses: Sequence[str]) -> list[Entry]:
    """The entries, block by block, the best protected first.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        defenses: the suite's ranked defenses, as its rows write them.
    """
    without_rank = unranked(table)
    done = measured(table)
    is_clean = done["poisoner"] == CLEAN
    clean = {key: worst_case(accuracies_of(cells), defenses) for key, cells in grouped(done[is_clean], EXPLOITER)}
    result = []
    for block, members in grouped(done[~is_clean], BLOCK):
        shared = dict(zip(BLOCK, block, strict=True))
        reference = clean.get(tuple(shared[name] for name in EXPLOITER))
        poisoners = dict(grouped(members, ENTRY))
        accuracies = {name: accuracies_of(cells) for name, cells in poisoners.items()}
        cases = {name: worst_case(accuracies[name], defenses) for name in poisoners}
        ranked = {
            str(name): case
            for name, case in cases.items()
            if case is not None and poisoners[name]["base"].iloc[0] not in without_rank
        }
        places = ranks(ranked)
        block_entries = [
            _entry(
                block,
                name,
                places.get(str(name)),
                accuracies[name],
                cases[name],
                reference,
                defenses,
                cells["chance"].fillna(0.0).iloc[0],
            )
            for name, cells in poisoners.items()
        ]
        result += sorted(block_entries, key=_order)
    return result


def _entry(
    block: tuple[Any, ...],
    name: tuple[Any, ...],
    rank: int | None,
    accuracies: pd.DataFrame,
    case: WorstCase | None,
    clean: WorstCase | None,
    defenses: Sequence[str],
    chance: float,
) -> Entry:
    undefended = t_interval(accuracies.get(NO_DEFENSE, ()))
    present = [value for defense in defenses if defense in accuracies for value in accuracies[defense].dropna()]
    return Entry(
        block,
        name,
        rank,
        len(case.by_seed) if case else undefended.n,
        undefended,
        statistics.fmean(present) if present else None,
        case.accuracy if case else None,
        " or ".join(case.defenses) if case else "",
        effect(clean, case, chance) if case and clean else None,
        clean.accuracy.mean if clean else None,
        () if case else tuple(defense for defense in defenses if defense not in accuracies),
    )


def _order(entry: Entry) -> tuple[Any, ...]:
    worst = entry.worst.mean if entry.worst else math.inf
    return (entry.rank is None, entry.rank or 0, worst, str(entry.name))
