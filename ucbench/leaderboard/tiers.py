"""The worst case within each tier of defenses: the highest accuracy that exploiters of given means reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from ucbench.leaderboard.layout import markdown_cell, markdown_table, setting_heading
from ucbench.leaderboard.ranking import accuracies_of, worst_case
from ucbench.matrix.names import entry_text
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import ENTRY, EXPLOITER, SETTING, values_of
from ucbench.results.gate import Gate, Judgement, judgement_of
from ucbench.results.statistics import Interval
from ucbench.results.table import Row, check_worlds, grouped, measured
from ucbench.results.text import TextColumn

#: The tier of rows without defense.
NO_TIER = "none"


class Best(NamedTuple):
    """The worst case within one tier: percent over craft seeds, the defense, and the number of defenses tried."""

    accuracy: Interval
    defense: str
    tried: int


class Incomplete(NamedTuple):
    """A tier without a worst case, because each of its defenses lacks a craft: the most that one has, of how many."""

    done: int
    crafts: int


class Table(NamedTuple):
    """Poisoners against tiers, in one setting.

    Attributes:
        setting: the values of :data:`ucbench.results.columns.SETTING`, by name.
        gate: the judgement of the setting.
        tiers: the tiers that occur, in order.
        lines: for each poisoner (the values of :data:`ENTRY`, by name), the worst case of each tier that was tried on
            it, or how far that got.
    """

    setting: Row
    gate: Judgement
    tiers: tuple[str, ...]
    lines: tuple[tuple[Row, dict[str, Best | Incomplete]], ...]

    @property
    def verdict(self) -> str:
        """What the gate allows to conclude from the table."""
        nothing = "" if self.gate.state == "passed" else " The numbers say nothing about any method."
        return self.gate.text + nothing


def by_tier(table: pd.DataFrame, tier_of: Callable[[str], str], verdicts: Sequence[Gate]) -> list[Table]:
    """Tables of the worst case within each tier.

    As in leaderboards, this is the highest mean, which is biased upwards where several defenses were tried. Only
    defenses count that every seed of the poisoner has. Clean rows have no budget and appear in every table of their
    exploiter.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        tier_of: the tier of a defense as written in rows.
        verdicts: the gates of the settings, as of :func:`ucbench.leaderboard.gates.gates_of`.

    Raises:
        DataError: if rows that would be averaged differ in images or numerics.
    """
    check_worlds(table)
    done = measured(table)
    is_clean = done["poisoner"] == CLEAN
    clean = {values_of(shared, EXPLOITER): cells for shared, cells in grouped(done[is_clean], EXPLOITER)}
    tables = []
    for setting, members in grouped(done[~is_clean], SETTING):
        exploited = pd.concat([clean.get(values_of(setting, EXPLOITER)), members])
        lines = tuple((name, _best(accuracies_of(cells), tier_of)) for name, cells in grouped(exploited, ENTRY))
        tiers = tuple(sorted({tier for _, best in lines for tier in best}, key=lambda tier: (tier != NO_TIER, tier)))
        gate = judgement_of(verdicts, values_of(setting, SETTING))
        tables.append(Table(setting, gate, tiers, lines))
    return tables


def _best(accuracies: pd.DataFrame, tier_of: Callable[[str], str]) -> dict[str, Best | Incomplete]:
    done = accuracies.notna().sum()
    tiers = {defense: NO_TIER if defense == NO_DEFENSE else tier_of(defense) for defense in accuracies.columns}
    best: dict[str, Best | Incomplete] = {}
    for tier in dict.fromkeys(tiers.values()):
        tried = [defense for defense in tiers if tiers[defense] == tier]
        complete = [defense for defense in tried if done[defense] == len(accuracies)]
        if case := worst_case(accuracies, complete):
            best[tier] = Best(case.accuracy, case.defense, len(complete))
        else:
            best[tier] = Incomplete(int(done[tried].max()), len(accuracies))
    return best


def to_columns(table: Table) -> list[TextColumn]:
    """The table as text: in each cell the accuracy, and the defense in a second line where there is room for none."""
    return [
        TextColumn("poisoner", [_name(name) for name, _ in table.lines]),
        *(
            TextColumn(tier, [_cell(best.get(tier), "\n") for _, best in table.lines], rank=rank)
            for rank, tier in enumerate(table.tiers)
        ),
    ]


def to_markdown(tables: Sequence[Table]) -> str:
    """The tables as Markdown, each below its verdict; a cell has accuracy, interval and defense, or says what lacks."""
    parts = []
    for table in tables:
        lines = (
            [_name(name, "`"), *(_cell(best.get(tier), " ", "`") for tier in table.tiers)] for name, best in table.lines
        )
        parts += [
            setting_heading(table.setting),
            "",
            table.verdict,
            "",
            *markdown_table(["poisoner", *table.tiers], (map(markdown_cell, line) for line in lines)),
            "",
        ]
    return "\n".join(parts)


def _name(values: Row, quote: str = "") -> str:
    return entry_text({**values, "poisoner": f"{quote}{values['poisoner']}{quote}"})


def _cell(best: Best | Incomplete | None, between: str, quote: str = "") -> str:
    if best is None:
        return "not run"
    if isinstance(best, Incomplete):
        return f"incomplete: {best.done} of {best.crafts}"
    by = "" if best.defense == NO_DEFENSE else f"{between}{quote}{best.defense}{quote}"
    return best.accuracy.text() + by + (f" (of {best.tried})" if best.tried > 1 else "")
