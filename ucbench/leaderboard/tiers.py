"""The most that exploiters get by what they have at hand: the worst case within each tier of defenses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ucbench.data.budget import Budget
from ucbench.leaderboard.ranking import Accuracies, accuracies_of, worst_case
from ucbench.leaderboard.tables import ENTRY, EXPLOITER
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results import Row, grouped_by
from ucbench.results.statistics import Interval

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


def by_tier(table: Sequence[Row], tier_of: Callable[[str], str]) -> list[Table]:
    """Tables of the worst case within each tier.

    As in leaderboards the defense is chosen on half of the craft seeds and scored on the other; with a single seed it
    is chosen by what it is scored on. Of a tier those defenses count that every seed of the poisoner has.

    Args:
        table: rows of :func:`ucbench.results.rows`.
        tier_of: the tier of a defense as rows write it.
    """
    done = [row for row in table if row["status"] == "ok" and row["test_accuracy"] is not None]
    clean = grouped_by([row for row in done if row["poisoner"] == CLEAN], EXPLOITER)
    found = []
    for setting, members in grouped_by([row for row in done if row["poisoner"] != CLEAN], EXPLOITER + BUDGET).items():
        own = grouped_by([*clean.get(setting[: len(EXPLOITER)], []), *members], ENTRY)
        lines = tuple((name, _best(accuracies_of(rows), tier_of)) for name, rows in own.items())
        tiers = tuple(sorted({tier for _, best in lines for tier in best}, key=lambda tier: (tier != NO_TIER, tier)))
        found.append(Table(setting, tiers, lines))
    return found


def _best(accuracies: Accuracies, tier_of: Callable[[str], str]) -> dict[str, Best]:
    most = max(map(len, accuracies.values()))
    tried: dict[str, list[str]] = {}
    for defense, seeds in accuracies.items():
        if len(seeds) == most:
            tried.setdefault(NO_TIER if defense == NO_DEFENSE else tier_of(defense), []).append(defense)
    found = {}
    for tier, defenses in tried.items():
        case = worst_case(accuracies, defenses)
        if case is not None:
            found[tier] = Best(case.accuracy, " or ".join(case.defenses), len(defenses))
    return found


def to_markdown(tables: Sequence[Table]) -> str:
    """The tables as Markdown; a cell has the accuracy, its interval's half-width and the defense."""
    parts = []
    for one in tables:
        values = dict(zip(EXPLOITER + BUDGET, one.setting, strict=True))
        budget = Budget(values["norm"], values["epsilon"])
        parts += [
            f"{values['dataset']}, {budget}, {values['victim']}, labels: {values['labeling']}, mixture"
            f" {values['mixture']:g}, {values['trusted']} trusted images",
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
    poisoner, preset, _, told = name
    shown = f"`{poisoner}{'' if preset == 'standard' else f'@{preset}'}`"
    return shown if told in ("none", "original") else f"{shown} told {told}"


def _cell(best: Best | None) -> str:
    if best is None:
        return "not run"
    mean, half, count = best.accuracy
    interval = f" ± {half:.1f}" if count > 1 else ""
    by = "" if best.defense == NO_DEFENSE else f" `{best.defense}`"
    return f"{mean:.1f}{interval}{by}" + (f" (of {best.tried})" if best.tried > 1 else "")
