"""A leaderboard's entries as the sections, columns and plain texts that formats lay out and escape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ucbench.data.budget import Budget
from ucbench.leaderboard.entries import ENOUGH_SEEDS, Entry
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.columns import BLOCK

#: Columns of every section, in the order of :class:`Line`'s texts.
HEADERS = ("rank", "poisoner", "label knowledge", "worst case %", "effect %", "no defense %", "best defense", "seeds")
#: What a reader must know of the columns, by their headings without the unit.
MEANINGS = {
    "Label knowledge": "the craft labels of the poisoner",
    "Worst case": (
        "the highest accuracy an exploiter reaches over the ranked defenses, each chosen on half of the craft seeds and"
        " scored on the other; where seeds differ more than defenses, it can be lower than the accuracy without defense"
    ),
    "Effect": "the share of the gap between clean accuracy under the best defense and chance that is gone",
}
#: All of it, in sentences.
LEGEND = (
    f"{' '.join(f'{heading}: {meaning}.' for heading, meaning in MEANINGS.items())} Mean ± half-width of the 95 %"
    " interval over craft seeds; * marks fewer than four seeds, which are exploratory. References, oracles and"
    " poisoners without all ranked defenses have no rank."
)
#: Missing defenses that a table names; more would make its widest column, and are named in leaderboard.csv.
_FEW = 2


@dataclass(frozen=True)
class Line:
    """One entry: a text for each of :data:`HEADERS`, not escaped; what is unknown is an empty text.

    Attributes:
        reference: the poisoner with its parameters, which its text begins with.
    """

    texts: tuple[str, ...]
    reference: str

    @property
    def poisoner(self) -> str:
        return self.texts[1]


@dataclass(frozen=True)
class Section:
    """Entries that rank among each other.

    Attributes:
        block: the values they share, by the names of :data:`BLOCK`.
        heading: data set, budget, victim and labeling.
        setting: mixture, trusted images and label access.
    """

    block: Mapping[str, Any]
    heading: str
    setting: str
    lines: tuple[Line, ...]


def sections(entries: Sequence[Entry]) -> list[Section]:
    """The entries by block, in their order."""
    found = []
    for block in dict.fromkeys(entry.block for entry in entries):
        values = dict(zip(BLOCK, block, strict=True))
        found.append(
            Section(
                values,
                heading(values),
                f"Mixture {values['mixture']:g}, {values['trusted']} trusted images,"
                f" label access {values['label_access']}.",
                tuple(_line(entry) for entry in entries if entry.block == block),
            )
        )
    return found


def heading(values: Mapping[str, Any]) -> str:
    """Data set, budget, victim and labeling in words."""
    budget = Budget(values["norm"], values["epsilon"])
    return f"{values['dataset']}, {budget}, {values['victim']}, labels: {values['labeling']}"


def poisoner_text(values: Mapping[str, Any]) -> str:
    """The poisoner with its preset, where that is not the usual one."""
    preset = "" if values["preset"] == DEFAULT_PRESET else f" @{values['preset']}"
    return f"{values['poisoner']}{preset}"


def not_run(entry: Entry) -> str:
    """What stands in the place of a missing worst case, else nothing; names the missing defenses where they are few."""
    few = len(entry.missing) <= _FEW
    missing = ", ".join(entry.missing) if few else f"{len(entry.missing)} defenses"
    return f"not run: {missing}" if missing else ""


def _line(entry: Entry) -> Line:
    name = entry.named
    return Line(
        (
            "" if entry.rank is None else str(entry.rank),
            poisoner_text(name) + ("" if name["surrogate"] == "none" else f" ({name['surrogate']})"),
            str(name["craft_labels"]),
            not_run(entry) or (entry.worst.text() if entry.worst else ""),
            entry.effect.text(1, 100) if entry.effect else "",
            entry.undefended.text(),
            entry.defense,
            f"{entry.seeds}{'*' if entry.seeds < ENOUGH_SEEDS else ''}",
        ),
        str(name["poisoner"]),
    )
