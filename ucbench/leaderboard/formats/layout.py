"""A leaderboard's entries as the sections, columns and plain texts that formats lay out and escape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ucbench.data.budget import Budget
from ucbench.leaderboard.tables import BLOCK, ENOUGH_SEEDS, Entry, not_run
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.statistics import Interval

#: Columns of every section, in the order of :class:`Line`'s texts.
HEADERS = ("rank", "poisoner", "told", "worst case %", "effect %", "no defense %", "best defense", "seeds")
#: What a reader must know beside the columns' names.
LEGEND = (
    "Worst case: the highest accuracy an exploiter reaches over the ranked defenses. Effect: the share of the gap"
    " between clean accuracy and chance that is gone. Means with half-widths of 95 % intervals over craft seeds;"
    " * fewer than four seeds, exploratory. References, oracles and incomplete rows have no rank."
)


@dataclass(frozen=True)
class Line:
    """One entry: a text for each of :data:`HEADERS`, not escaped; what is unknown is an empty text."""

    texts: tuple[str, ...]

    @property
    def poisoner(self) -> str:
        return self.texts[1]


@dataclass(frozen=True)
class Section:
    """Entries that rank among each other.

    Attributes:
        heading: data set, budget, victim and labeling.
        setting: mixture, trusted images and label access.
    """

    heading: str
    setting: str
    lines: tuple[Line, ...]


def sections(entries: Sequence[Entry]) -> list[Section]:
    """The entries by block, in their order."""
    found = []
    for block in dict.fromkeys(entry.block for entry in entries):
        values = dict(zip(BLOCK, block, strict=True))
        budget = Budget(values["norm"], values["epsilon"])
        found.append(
            Section(
                f"{values['dataset']}, {budget}, {values['victim']}, labels: {values['labeling']}",
                f"Mixture {values['mixture']:g}, {values['trusted']} trusted images,"
                f" label access {values['label_access']}.",
                tuple(_line(entry) for entry in entries if entry.block == block),
            )
        )
    return found


def _line(entry: Entry) -> Line:
    poisoner, preset, surrogate, told = (str(value) for value in entry.name)
    return Line(
        (
            "" if entry.rank is None else str(entry.rank),
            poisoner
            + ("" if preset == DEFAULT_PRESET else f" @{preset}")
            + ("" if surrogate == "none" else f" ({surrogate})"),
            told,
            not_run(entry) or _mean(entry.worst, 1),
            _mean(entry.effect, 100),
            _mean(entry.undefended, 1),
            entry.defense,
            f"{entry.seeds}{'*' if entry.seeds < ENOUGH_SEEDS else ''}",
        )
    )


def _mean(value: Interval | None, factor: float) -> str:
    """``61.5 ± 2.1``; the mean alone where there is no interval."""
    if value is None or math.isnan(value.mean):
        return ""
    text = f"{factor * value.mean:.1f}"
    return text if math.isnan(value.half) else f"{text} ± {factor * value.half:.1f}"
