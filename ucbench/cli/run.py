"""``ucbench run``: compute cells and show them beside their references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import as_json, axis_options, chosen_cells, is_quiet, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.matrix.axes import GROUP_COLUMNS, heading

if TYPE_CHECKING:
    from ucbench.results import Row, Summary
    from ucbench.results.statistics import Interval
    from ucbench.running.runner import Rerun

#: Columns shown only where they differ between rows.
_VARYING = [column for column in GROUP_COLUMNS if column not in ("poisoner", "norm", "epsilon")]

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


@click.command("run")
@axis_options
@click.option(
    "--executor",
    default="serial",
    show_default=True,
    metavar="NAME",
    help="What computes the cells: serial, process, process:workers=2,limit=3600 (seconds a cell), ray.",
)
@click.option(
    "--rerun",
    type=click.Choice(["missing", "failed", "all"]),
    default="failed",
    show_default=True,
    help="Compute cells without a record only; those that failed too; or all again, with what comes out differently.",
)
@as_json
@verbosity
def run_command(as_json: bool, out: Path | None, executor: str, rerun: Rerun, **options: Any) -> int:
    """Craft, train and evaluate the cross product of the axes.

    Every axis may be repeated. Clean and sham references are added. What is in the store or in --out is not computed
    again.

    \b
      ucbench run --poisoner uc --victim resnet18
      ucbench run --poisoner uc --poisoner lsp --craft-labels clusters:k=10 --seed 0-2 --out results
      ucbench run --suite smoke --out results
    """
    from ucbench.api import run_session
    from ucbench.progress import reporting

    with reporting(quiet=is_quiet()) as progress:
        cells, here = chosen_cells(options, progress)
        records = run_session(cells, here, out=out, executor=executor, rerun=rerun)

    from ucbench.results import columns, rows

    table = rows(records)
    if as_json:
        print_json([{column: row.get(column) for column in columns(table)} for row in table])
    else:
        print_summary(table)
        if out is not None:
            click.echo(f"Written: {out / 'results.csv'}, {out / 'records'}/, {out / 'sheets'}/", err=True)
    return 1 if any(record["status"] != "ok" for record in records) else 0


def print_summary(table: Sequence[Row]) -> None:
    """Print means over seeds, one line per group of rows; then what applies to all, the seeds, and the gates."""
    from ucbench.results import COLUMNS, columns, gates, summarise

    groups = summarise(table)
    # Requested metrics, beside the numbers every record has.
    numbers = [*_NUMBERS, *((name, name, 2, 1) for name in columns(table)[len(COLUMNS) :])]
    varying = [name for name in _VARYING if len({str(group.shared[name]) for group in groups}) > 1]
    print_table(
        ["poisoner", *map(heading, varying), "budget", *(title for title, *_ in numbers), "n"],
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
    # No trusted images go without saying.
    shared = {name: groups[0].shared[name] for name in _VARYING if groups and name not in varying}
    click.echo("; ".join(f"{heading(name)} {value}" for name, value in shared.items() if value != 0))
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
