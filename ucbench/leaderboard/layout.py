"""Entries of a leaderboard as sections and columns of plain text, for formats to lay out and escape."""

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
#: Explanations of columns, by heading without the unit.
MEANINGS = {
    "Label knowledge": "the craft labels of the poisoner",
    "Worst case": (
        "the highest accuracy an exploiter reaches over the ranked defenses, each chosen on half of the craft seeds and"
        " scored on the other; where seeds differ more than defenses, it can be lower than the accuracy without defense"
    ),
    "Effect": "the share of the gap between clean accuracy under the best defense and chance that is gone",
}
#: All explanations, in sentences.
LEGEND = (
    f"{' '.join(f'{heading}: {meaning}.' for heading, meaning in MEANINGS.items())} Mean ± half-width of the 95 %"
    " interval over craft seeds; * marks fewer than four seeds, which are exploratory. References, oracles and"
    " poisoners without all ranked defenses have no rank."
)
#: Most missing defenses that a table names; leaderboard.csv names all.
_FEW = 2


@dataclass(frozen=True)
class Line:
    """One entry: a text for each of :data:`HEADERS`, not escaped; an unknown value is an empty text.

    Attributes:
        reference: the poisoner with its parameters, with which its text begins.
    """

    texts: tuple[str, ...]
    reference: str

    @property
    def poisoner(self) -> str:
        return self.texts[1]


@dataclass(frozen=True)
class Section:
    """Entries of one block, which rank among each other.

    Attributes:
        block: the common values, by the names of :data:`BLOCK`.
        heading: data set, budget, victim and labeling.
        setting: mixture, trusted images and label access.
    """

    block: Mapping[str, Any]
    heading: str
    setting: str
    lines: tuple[Line, ...]


def sections(entries: Sequence[Entry]) -> list[Section]:
    """The entries by block, in order of appearance."""
    blocks: dict[tuple[Any, ...], list[Line]] = {}
    for entry in entries:
        blocks.setdefault(entry.block, []).append(_line(entry))
    return [_section(dict(zip(BLOCK, block, strict=True)), lines) for block, lines in blocks.items()]


def _section(block: Mapping[str, Any], lines: Sequence[Line]) -> Section:
    setting = f"Mixture {block['mixture']:g}, {block['trusted']} trusted images, label access {block['label_access']}."
    return Section(block, block_heading(block), setting, tuple(lines))


def block_heading(values: Mapping[str, Any]) -> str:
    """Data set, budget, victim and labeling in words."""
    budget = Budget(values["norm"], values["epsilon"])
    return f"{values['dataset']}, {budget}, {values['victim']}, labels: {values['labeling']}"


def poisoner_text(values: Mapping[str, Any]) -> str:
    """The poisoner, with its preset unless that is the default one."""
    preset = "" if values["preset"] == DEFAULT_PRESET else f" @{values['preset']}"
    return f"{values['poisoner']}{preset}"


def not_run(entry: Entry) -> str:
    """The text in place of a missing worst case; empty where no ranked defense is missing."""
    missing = ", ".join(entry.missing) if len(entry.missing) <= _FEW else f"{len(entry.missing)} defenses"
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
