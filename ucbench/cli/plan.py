"""``ucbench plan``: the cells of a run and their costs, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.lazy import WHAT
from ucbench.cli.options import AsJson, OutFolder, Request, flag, requesting_cells
from ucbench.cli.output import print_json, print_table
from ucbench.matrix.axes import AXES
from ucbench.progress import duration
from ucbench.results.columns import column

if TYPE_CHECKING:
    from ucbench.api import PlannedCell


app = typer.Typer()


@app.command("plan", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
def plan_command(
    request: Request,
    probe: Annotated[bool, flag("--time", "Time two steps of every kind of training never done here.", WHAT)] = False,
    out: OutFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show the cells of a run without running them.

    Seconds are predicted from earlier trainings of the same victim and crafts of the same poisoner on this machine; ?
    means that there are none. With --time, two steps of the missing trainings are timed, but no crafts.
    """
    from ucbench.api import plan_session

    requested, session = request.cells()
    cells = plan_session(requested, session, out=out, probe=probe)
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
        seconds = [cell.seconds for cell in missing if cell.seconds is not None]
        costs = [f"about {duration(sum(seconds))}"] if seconds else []
        if len(seconds) < len(missing):
            costs.append(f"{len(missing) - len(seconds)} cells of a kind never timed on this machine")
        text += f"; the rest: {', and '.join(costs)}"
    typer.echo(f"{text}.")


def _print(cells: Sequence[PlannedCell]) -> None:
    """Print one line per cell, with columns of low priority only if cells differ in them."""
    values = [cell.cell.describe() for cell in cells]
    shown = [
        name
        for axis in AXES
        for name in axis.columns
        if axis.priority == 1 or len({str(cell[name]) for cell in values}) > 1
    ]
    lines = [
        [
            *("" if description[name] is None else str(description[name]) for name in shown),
            "stored" if cell.release_done else "to craft",
            "done" if cell.done else "to run",
            "" if cell.done else "?" if cell.seconds is None else f"{cell.seconds:.0f}",
        ]
        for description, cell in zip(values, cells, strict=True)
    ]
    print_table([*(column(name).heading for name in shown), "release", "cell", "seconds"], lines)
