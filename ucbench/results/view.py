"""What readers of a table see first: means over seeds beside their references, what all rows share, and the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.results.columns import AVERAGED, COLUMNS, column
from ucbench.results.gate import Gate, gates
from ucbench.results.statistics import ENOUGH_CRAFTS
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import Row, columns

#: Columns shown only if rows differ in them, and numbers that are always shown.
_VARYING = [name for name in GROUP_COLUMNS if name not in ("poisoner", "norm", "epsilon")]
_NUMBERS = [number for number in AVERAGED if number.summary]

#: Title of the column with the two standard deviations of test accuracy.
_SD = "sd of test acc"


@dataclass(frozen=True)
class View:
    """The summary of a table, as texts.

    Attributes:
        header: titles of the columns.
        lines: one per group of rows that differ only in their seeds.
        optional: titles of the columns that a narrow screen leaves out, the first of them first.
        notes: sentences below: what all rows share, the seeds, and the gates.
    """

    header: list[str]
    lines: list[list[str]]
    optional: list[str]
    notes: list[str]


def view(table: pd.DataFrame) -> View:
    """The summary of rows of :func:`ucbench.results.table.rows`."""
    groups = summarise(table)
    # Requested metrics follow the numbers of every record.
    numbers = [*_NUMBERS, *map(column, columns(table)[len(COLUMNS) :])]
    varying = [name for name in _VARYING if len({str(group.shared[name]) for group in groups}) > 1]
    titles = [number.brief for number in numbers]
    several = any(group.accuracy.deviations for group in groups)
    lines = [
        [
            group.shared["poisoner"],
            *(str(group.shared[name]) for name in varying),
            _budget(group.shared),
            *(group.means[number.name].text(number.shown, number.factor, constant=False) for number in numbers),
            *([group.accuracy.deviations] if several else []),
            _counts(group),
        ]
        for group in groups
    ]
    header = [
        "poisoner",
        *(column(name).heading for name in varying),
        "budget",
        *titles,
        *([_SD] if several else []),
        "n",
    ]
    return View(
        header,
        lines,
        [*titles[:0:-1], *([_SD] if several else [])],
        [*_shared(groups, varying), *map(_verdict, gates(table))],
    )


def _shared(groups: Sequence[Summary], varying: Sequence[str]) -> list[str]:
    if not groups:
        return []
    # 0 trusted images are not mentioned.
    shared = {name: value for name in _VARYING if name not in varying and (value := groups[0].shared[name]) != 0}
    return ["; ".join(f"{column(name).heading} {value}" for name, value in shared.items()), _seeds(groups)]


def _counts(group: Summary) -> str:
    """Crafts and trainings on each, ``4 x 3``; one number for one training each, or where nothing is crafted."""
    counts = group.accuracy.counts.removesuffix(" x 1")
    return counts + (f" ({group.failed} failed)" if group.failed else "")


def _budget(row: Row) -> str:
    return "" if row["epsilon"] is None else f"{row['norm']} {row['epsilon']:g}"


def _seeds(groups: Sequence[Summary]) -> str:
    crafts = max((group.accuracy.interval.n for group in groups if group.shared["craft_seed"] is not None), default=0)
    if crafts < 2:
        return f"One craft seed: exploratory, no intervals. Repeat with --seed 0-{ENOUGH_CRAFTS - 1}."
    text = f"Mean ± half-width of the 95 % t interval over {crafts} craft seeds."
    if any(group.accuracy.trainings[1] > 1 for group in groups):
        text += " n: crafts x trainings on each."
    return text if crafts >= ENOUGH_CRAFTS else f"{text} Fewer than {ENOUGH_CRAFTS}: exploratory."


def _verdict(gate: Gate) -> str:
    where = f"{gate.shared['dataset']} at {_budget(gate.shared)}, {gate.shared['victim']}"
    return f"Gate for {where}: {gate.text}"
