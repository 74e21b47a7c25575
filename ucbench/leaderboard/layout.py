"""Blocks of a leaderboard as sections and columns of plain text, for formats to lay out and escape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ucbench.leaderboard.entries import Block, Entry, Leaderboard, Unprotected
from ucbench.matrix.names import entry_text, extras
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.axis_columns import budget_text
from ucbench.results.statistics import ENOUGH_CRAFTS

#: All columns, in the order of :class:`Line`'s texts.
HEADERS = (
    "rank", "poisoner", "label knowledge", "worst case %", "bias", "effect %", "no defense %", "guess %", "purity %",
    "best defense", "n",
)  # fmt: skip
#: Columns that repeat "no defense %" where no other defense was ranked.
_OF_DEFENSES = {"worst case %", "bias", "best defense"}
#: Most missing defenses that a table names; leaderboard.csv names all.
_FEW = 2


@dataclass(frozen=True)
class Line:
    """One entry, or the clean row: a text for each of :data:`HEADERS`, not escaped; an unknown value is an empty text.

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
    """One block.

    Attributes:
        block: the common values, by the names of :data:`ucbench.results.columns.BLOCK`.
        heading: data set, budget, victim, labeling and label access.
        setting: mixture and trusted images; empty where all images are perturbed and none are trusted.
        verdict: the judgement of the gate.
        remarks: the largest selection bias, and defenses that the victim cannot use.
        lines: one per entry, and at the end one of the same exploiter on clean images, where that was run.
        defended: whether a defense was ranked, even if none of them helps an exploiter.
    """

    block: Mapping[str, Any]
    heading: str
    setting: str
    verdict: str
    remarks: str
    lines: tuple[Line, ...]
    defended: bool = False

    @property
    def note(self) -> str:
        """Setting, verdict and remarks."""
        return " ".join(filter(None, (self.setting, f"{self.verdict}{self.remarks}")))

    @property
    def headers(self) -> tuple[str, ...]:
        """Those of :data:`HEADERS` that say something: not empty, and no worst case where no defense was ranked."""
        filled = {header for line in self.lines for header, text in zip(HEADERS, line.texts, strict=True) if text}
        shown = filled if self.defended else filled - _OF_DEFENSES
        return tuple(header for header in HEADERS if header in shown)

    def row(self, line: Line) -> tuple[str, ...]:
        """The texts of ``line`` under :attr:`headers`."""
        return tuple(line.texts[HEADERS.index(header)] for header in self.headers)


def sections(leaderboard: Leaderboard) -> list[Section]:
    """The blocks in their order."""
    return [_section(block) for block in leaderboard.blocks]


def _section(block: Block) -> Section:
    values, gate = block.values, block.gate
    heading = f"{block_heading(values)}, label access {values['label_access']}"
    setting = f"{', '.join(extras(values))}.".capitalize() if extras(values) else ""
    verdict = gate.text if gate.state == "passed" else f"No ranks and no effects. {gate.text}"
    bias = max((entry.bias for entry in block.entries if entry.bias > 0), default=0.0)
    biased = f" Worst cases are too high by selection, by up to {bias:.1f} points (bias)." if bias else ""
    lines = (*map(_line, block.entries), *([_clean_line(block.unprotected)] if block.unprotected else []))
    defended = any(defense != NO_DEFENSE for defense in block.ranked)
    return Section(values, heading, setting, verdict, biased + inapplicable_text(block), lines, defended)


def inapplicable_text(block: Block) -> str:
    """The sentence on ranked defenses that the block's victim cannot use, after a space; empty without any."""
    names = ", ".join(block.inapplicable)
    return f" The victim trains by itself and cannot use {names}: ranked over the others." if names else ""


def block_heading(values: Mapping[str, Any]) -> str:
    """Data set, budget, victim and labeling in words."""
    return f"{values['dataset']}, {budget_text(values)}, {values['victim']}, labels: {values['labeling']}"


def setting_heading(values: Mapping[str, Any]) -> str:
    """The same, with a mixture and trusted images where there are any."""
    return ", ".join([block_heading(values), *extras(values)])


def markdown_cell(text: str) -> str:
    """Text that cannot end a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown_table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a Markdown table; its texts are taken as they are, see :func:`markdown_cell`."""
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def not_run(entry: Entry) -> str:
    """The text in place of a missing worst case; empty where no ranked defense is missing."""
    missing = ", ".join(entry.missing) if len(entry.missing) <= _FEW else f"{len(entry.missing)} defenses"
    return f"not run: {missing}" if missing else ""


def counts_text(entry: Entry) -> str:
    """Crafts and trainings, with their standard deviations where they are known: ``4 x 3; SD 2.1 crafts, ...``."""
    mark = "*" if entry.seeds < ENOUGH_CRAFTS else ""
    spread = entry.undefended
    counts = f"{entry.seeds} x {spread.trainings_text}" if spread.trainings_text else str(entry.seeds)
    return counts + mark + (f"; SD {spread.deviations}" if spread.deviations else "")


def _line(entry: Entry) -> Line:
    name = entry.values
    return Line(
        (
            entry.rank,
            entry_text(name, stating=["surrogate"]),
            str(name["craft_labels"]),
            not_run(entry) or (entry.worst.text() if entry.worst else ""),
            _number(entry.bias),
            entry.effect.text(1, 100) if entry.effect else "",
            entry.undefended.interval.text(),
            _number(entry.guess),
            _number(entry.purity),
            entry.defense,
            counts_text(entry),
        ),
        str(name["poisoner"]),
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"


def _clean_line(row: Unprotected) -> Line:
    accuracy = row.undefended.interval
    worst = row.worst.text() if row.worst else ""
    return Line(("", CLEAN, "", worst, "", "", accuracy.text(), "", "", row.defense, str(accuracy.n)), CLEAN)
