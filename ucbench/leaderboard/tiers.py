"""The most that exploiters get by what they have at hand: the worst case within each tier of defenses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ucbench.leaderboard.entries import EXPLOITER
from ucbench.leaderboard.layout import heading, poisoner_text
from ucbench.leaderboard.ranking import accuracies_of, worst_case
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import ENTRY
from ucbench.results.statistics import Interval
from ucbench.results.table import grouped, measured

#: Written here for the rows without defense, which are a tier of their own.
NO_TIER = "none"
#: What rows of one table share besides the exploiter; clean rows have none and stand in every table of theirs.
BUDGET = ("norm", "epsilon", "mixture")


@dataclass(frozen=True)
class Best:
    """What exploiters of one tier reach at most: percent over craft seeds, and by which defense."""

    accuracy: Interval
    defense: str
    tried: int


@dataclass(frozen=True)
class Table:
    """Poisoners against tiers, in one setting.

    Attributes:
        setting: the values of :data:`EXPLOITER` and :data:`BUDGET`.
        tiers: those that occur, in order.
        lines: for every poisoner (the values of its name's columns), the best of each tier that was tried on it.
    """

    setting: tuple[Any, ...]
    tiers: tuple[str, ...]
    lines: tuple[tuple[tuple[Any, ...], dict[str, Best]], ...]


def by_tier(table: pd.DataFrame, tier_of: Callable[[str], str]) -> list[Table]:
    """Tables of the worst case within each tier.

    As in leaderboards the defense is chosen on half of the craft seeds and scored on the other; with a single seed it
    is chosen by what it is scored on. Of a tier those defenses count that every seed of the poisoner has.

    Args:
        table: rows of :func:`ucbench.results.rows`.
        tier_of: the tier of a defense as rows write it.
    """
    done = measured(table)
    is_clean = done["poisoner"] == CLEAN
    clean = dict(grouped(done[is_clean], EXPLOITER))
    found = []
    for setting, members in grouped(done[~is_clean], EXPLOITER + BUDGET):
        exploited = pd.concat([clean.get(setting[: len(EXPLOITER)]), members])
        lines = tuple((name, _best(accuracies_of(own), tier_of)) for name, own in grouped(exploited, ENTRY))
        tiers = tuple(sorted({tier for _, best in lines for tier in best}, key=lambda tier: (tier != NO_TIER, tier)))
        found.append(Table(setting, tiers, lines))
    return found


def _best(accuracies: pd.DataFrame, tier_of: Callable[[str], str]) -> dict[str, Best]:
    seeds = accuracies.count()
    complete = accuracies.columns[seeds == seeds.max()]
    tiers = {defense: NO_TIER if defense == NO_DEFENSE else tier_of(defense) for defense in complete}
    found = {}
    for tier in dict.fromkeys(tiers.values()):
        defenses = [defense for defense in complete if tiers[defense] == tier]
        if case := worst_case(accuracies, defenses):
            found[tier] = Best(case.accuracy, " or ".join(case.defenses), len(defenses))
    return found


def to_markdown(tables: Sequence[Table]) -> str:
    """The tables as Markdown; a cell has the accuracy, its interval's half-width and the defense."""
    parts = []
    for one in tables:
        values = dict(zip(EXPLOITER + BUDGET, one.setting, strict=True))
        parts += [
            f"{heading(values)}, mixture {values['mixture']:g}, {values['trusted']} trusted images",
            "",
            f"| poisoner | {' | '.join(one.tiers)} |",
            f"|---|{'---|' * len(one.tiers)}",
            *(
                f"| {_name(name)} | {' | '.join(_cell(best.get(tier)) for tier in one.tiers)} |"
                for name, best in one.lines
            ),
            "",
        ]
    return "\n".join(parts)


def _name(name: tuple[Any, ...]) -> str:
    values = dict(zip(ENTRY, name, strict=True))
    shown, labels = poisoner_text({**values, "poisoner": f"`{values['poisoner']}`"}), values["craft_labels"]
    return shown if labels in ("none", "original") else f"{shown}, labels {labels}"


def _cell(best: Best | None) -> str:
    if best is None:
        return "not run"
    by = "" if best.defense == NO_DEFENSE else f" `{best.defense}`"
    return best.accuracy.text() + by + (f" (of {best.tried})" if best.tried > 1 else "")
