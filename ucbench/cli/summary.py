"""The table ``ucbench run`` ends with: means over seeds, each row beside its references, and the gate's verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click

from ucbench.cli.output import print_table
from ucbench.results import COLUMNS, Row, Summary, columns, gates, summarise
from ucbench.statistics import Interval

#: Axes that are shown only where they differ between rows.
_VARYING = ("dataset", "preset", "surrogate", "craft_labels", "labeling", "defense", "victim", "mixture")

#: Column title, name of the averaged number, decimals, factor.
_NUMBERS = (
    ("test acc %", "test_accuracy", 1, 1),
    ("drop", "drop", 1, 1),
    ("drop vs sham", "drop_sham", 1, 1),
    ("gap removed %", "gap_removed", 0, 100),
    ("train acc %", "train_accuracy", 1, 1),
    ("perturbed test %", "perturbed_test_accuracy", 1, 1),
    ("linf", "measured_linf", 0, 1),
    ("psnr dB", "psnr", 1, 1),
    ("craft s", "craft_seconds", 0, 1),
    ("train s", "seconds", 0, 1),
)


def print_summary(table: Sequence[Row]) -> None:
    """Print one line a group of rows that differ only in their seeds, then what applies to all, then the gates."""
    groups = summarise(table)
    # Metrics that were asked for, beside the numbers every record has.
    numbers = [*_NUMBERS, *((name, name, 2, 1) for name in columns(table)[len(COLUMNS) :])]
    varying = [name for name in _VARYING if len({str(group.shared[name]) for group in groups}) > 1]
    print_table(
        ["poisoner", *(name.replace("_", " ") for name in varying), "budget", *(title for title, *_ in numbers), "n"],
        [
            [
                group.shared["poisoner"],
                *(str(group.shared[name]) for name in varying),
                _budget(group.shared),
                *(_number(group.means[name], decimals, factor) for _, name, decimals, factor in numbers),
                f"{group.done}" + (f" ({group.failed} failed)" if group.failed else ""),
            ]
            for group in groups
        ],
    )
    same = [f"{name.replace('_', ' ')} {groups[0].shared[name]}" for name in _VARYING if groups and name not in varying]
    click.echo("; ".join(same))
    if groups:
        click.echo(_seeds_note(groups))
    for gate in gates(table):
        where = f"{gate.shared['dataset']} at {_budget(gate.shared)}, {gate.shared['victim']}"
        click.echo(f"Gate for {where}: {gate.text}")


def _budget(row: Row) -> str:
    return "" if row["epsilon"] is None else f"{row['norm']} {row['epsilon']:g}"


def _number(value: Interval, decimals: int, factor: float) -> str:
    if value.n == 0 or math.isnan(value.mean):
        return ""
    text = f"{factor * value.mean:.{decimals}f}"
    # The half-width says nothing about a constant such as the measured radius.
    return text if math.isnan(value.half) or value.half == 0 else f"{text} ± {factor * value.half:.{decimals}f}"


def _seeds_note(groups: Sequence[Summary]) -> str:
    seeds = max(
        (group.means["test_accuracy"].n for group in groups if group.shared["craft_seed"] is not None), default=0
    )
    if seeds < 2:
        return "One craft seed: exploratory, no intervals. Repeat with --seed 0-3."
    text = f"Mean ± half-width of the 95 % t interval over {seeds} craft seeds."
    return text if seeds >= 4 else f"{text} Fewer than four: exploratory."
