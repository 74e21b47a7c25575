"""What readers of a table see first: means over seeds beside their references, what all rows share, and the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.matrix.names import unusual
from ucbench.results.axis_columns import MANY, axis_columns, budget_text
from ucbench.results.columns import AVERAGED, COLUMNS, EFFECTS, SETTING, column, values_of
from ucbench.results.gate import Gate, gate_of, gates
from ucbench.results.statistics import BOTH, ENOUGH_CRAFTS
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import columns
from ucbench.results.text import TextColumn, chosen

#: Names of the columns beside axes and numbers.
_DEVIATIONS, _COUNTS = "sd of test acc", "n"
#: The first number, and the counts, are shown on any screen; the next two, standard deviations and axes that tell no
#: rows apart come before the further numbers.
_FEW = 3


@dataclass(frozen=True)
class View:
    """The summary of a table, as texts.

    Attributes:
        columns: one cell per group of rows that differ only in their seeds.
        notes: sentences below: what all rows share, the seeds, and the gates.
    """

    columns: list[TextColumn]
    notes: list[str]


def view(table: pd.DataFrame) -> View:
    """The summary of rows of :func:`ucbench.results.table.rows`; without effects where the gate failed."""
    groups = summarise(table)
    axes, caption = axis_columns([group.shared for group in groups], GROUP_COLUMNS, _FEW + 1)
    judged = gates(table) if groups else []
    # Requested metrics follow the numbers of every record.
    numbers = [*AVERAGED, *map(column, columns(table)[len(COLUMNS) :])]
    measured = [
        TextColumn(
            number.brief,
            [
                ""
                if number.name in EFFECTS and _failed(group, judged)
                else group.means[number.name].text(number.shown, number.factor, constant=False)
                for group in groups
            ],
            "number",
            rank=place if place < _FEW else place + _FEW + MANY,
            name=number.name,
            on_request=not number.summary,
        )
        for place, number in enumerate(numbers)
    ]
    deviations = TextColumn(_DEVIATIONS, [group.accuracy.deviations for group in groups], rank=_FEW)
    counts = TextColumn(_COUNTS, [_counts(group) for group in groups], "number")
    notes = [caption, *_seeds(groups), *map(_verdict, judged)] if groups else []
    return View([*axes, *measured, deviations, counts], notes)


def check_columns(names: Sequence[str]) -> None:
    """Raise UsageError if a summary can have no such column; those of requested metrics are known after the run."""
    fixed = axis_columns([], GROUP_COLUMNS)[0]
    fixed += [TextColumn(number.brief, (), name=number.name) for number in AVERAGED]
    fixed += [TextColumn(_DEVIATIONS, ()), TextColumn(_COUNTS, ())]
    chosen(fixed, [name for name in names if "." not in name])


def _failed(group: Summary, judged: Sequence[Gate]) -> bool:
    """Whether its setting failed the gate, so that no effect is stated."""
    gate = gate_of(judged, values_of(group.shared, SETTING))
    return gate is not None and gate.state == "failed"


def _counts(group: Summary) -> str:
    """Crafts and trainings on each, ``4 x 3``; one number for one training each, or where nothing is crafted."""
    counts = str(group.accuracy.interval.n) if group.accuracy.trainings == (1, 1) else group.accuracy.counts
    return counts + (f" ({group.failed} failed)" if group.failed else "")


def _seeds(groups: Sequence[Summary]) -> list[str]:
    crafted = [group for group in groups if group.shared["craft_seed"] is not None]
    kind = "craft" if crafted else "train"
    count = max(group.accuracy.interval.n for group in crafted or groups)
    if count == 0:
        return []
    if count == 1:
        units = "crafts" if crafted else "trainings"
        return [f"One {kind} seed: exploratory, no intervals over {units}. Repeat with --seed 0-{ENOUGH_CRAFTS - 1}."]
    half = " ± half-width of the 95 % t interval" if any(group.accuracy.interval.is_shown for group in groups) else ""
    text = f"Mean{half} over {count} {kind} seeds."
    if any(group.accuracy.trainings[1] > 1 for group in groups):
        text += " n: crafts x trainings on each."
    if count < ENOUGH_CRAFTS:
        text += f" Fewer than {ENOUGH_CRAFTS}: exploratory."
    if any(group.accuracy.interval.n == 2 for group in groups):
        text += f" {BOTH}"
    return [text]


def _verdict(gate: Gate) -> str:
    shared = gate.shared
    where = [f"{shared['dataset']} at {budget_text(shared)}", shared["victim"], *unusual(shared)]
    return f"Gate for {', '.join(where)}: {gate.text}"
