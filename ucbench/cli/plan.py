"""``ucbench plan``: which cells a run would have, and what they would cost; nothing runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import as_json, axis_options, chosen_cells, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.matrix.axes import AXES, heading
from ucbench.progress import duration

if TYPE_CHECKING:
    from ucbench.api import PlannedCell


@click.command("plan")
@axis_options
@click.option("--time", "probe", is_flag=True, help="Time two steps of every kind of training never done here.")
@as_json
@verbosity
def plan_command(as_json: bool, out: Path | None, probe: bool, **options: Any) -> None:
    """Show the cells of a run without running them.

    Seconds are those that cells of the same victim, or crafts of the same poisoner, took on this machine's store
    before; unknown ones are shown as ?. With --time, trainings never done here are timed for two steps; how long a
    poisoner crafts is known only once it has.
    """
    from ucbench.api import plan_session

    chosen, here = chosen_cells(options)
    cells = plan_session(chosen, here, out=out, probe=probe)
    if as_json:
        print_json(
            [
                {**cell.cell.describe(), "cell": cell.key, "done": cell.done, "release_done": cell.release_done,
                 "seconds": cell.seconds}
                for cell in cells
            ]
        )  # fmt: skip
        return
    _print(cells)
    missing = [cell for cell in cells if not cell.done]
    text = f"{len(cells)} cells, {len(cells) - len(missing)} done"
    if missing:
        known = [cell.seconds for cell in missing if cell.seconds is not None]
        costs = [f"about {duration(sum(known))}"] if known else []
        if len(known) < len(missing):
            costs.append(f"{len(missing) - len(known)} cells of a kind never timed on this machine")
        text += f"; the rest: {', and '.join(costs)}"
    click.echo(f"{text}.")


def _print(cells: Sequence[PlannedCell]) -> None:
    """One line per cell; columns of low priority only where cells differ in them."""
    values = [cell.cell.describe() for cell in cells]
    shown = [
        name
        for axis in AXES
        for name in axis.columns
        if axis.priority == 1 or len({str(one[name]) for one in values}) > 1
    ]
    lines = [
        [
            *("" if one[name] is None else str(one[name]) for name in shown),
            "stored" if cell.release_done else "to craft",
            "done" if cell.done else "to run",
            "" if cell.done else "?" if cell.seconds is None else f"{cell.seconds:.0f}",
        ]
        for one, cell in zip(values, cells, strict=True)
    ]
    print_table([*map(heading, shown), "release", "cell", "seconds"], lines)
