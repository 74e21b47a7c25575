"""``ucbench plan``: the cells of a run and their costs, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.completion import record_folders
from ucbench.cli.lazy import OUTPUT, WHAT
from ucbench.cli.options import AsJson, CellRequest, flag, is_quiet, option, requesting_cells, with_layout
from ucbench.cli.output import TableLayout, print_json, print_notes, print_table
from ucbench.matrix.axes import AXES
from ucbench.progress import duration
from ucbench.results.axis_columns import axis_columns
from ucbench.results.text import TextColumn, counted

if TYPE_CHECKING:
    from ucbench.steps import PlannedCell


app = typer.Typer()


@app.command("plan", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
@with_layout
def plan_command(
    request: CellRequest,
    layout: TableLayout,
    probe: Annotated[bool, flag("--time", "Time two steps of every kind of training never done here.", WHAT)] = False,
    out: Annotated[
        Path | None,
        option("FOLDER", "The --out of a run; cells with a record there count as done.", OUTPUT,
               default="only the store", complete=record_folders, file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show the cells of a run without running them.

    A release is stored, to craft, or shared, which a cell above crafts. Clean images and done cells need none.
    Seconds are predicted from earlier trainings of the same victim and crafts of the same poisoner on this machine; ?
    means that there are none. With --time, two steps of the missing trainings are timed, but no crafts.
    """
    from ucbench.progress import reporting
    from ucbench.steps import plan_session

    with reporting(quiet=is_quiet()) as progress:
        requested, session = request.cells(progress)
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
    _print(cells, layout)
    missing = [cell for cell in cells if not cell.done]
    text = f"{counted(len(cells), 'cell')}, {len(cells) - len(missing)} done"
    if missing:
        seconds = [cell.seconds for cell in missing if cell.seconds is not None]
        costs = [f"about {duration(sum(seconds))}"] if seconds else []
        if len(seconds) < len(missing):
            costs.append(f"{counted(len(missing) - len(seconds), 'cell')} of a kind never timed on this machine")
        text += f"; the rest: {', and '.join(costs)}"
    print_notes(f"{text}.")


def _print(cells: Sequence[PlannedCell], layout: TableLayout) -> None:
    """Print one line per cell, and once what all cells share; a narrow screen leaves out what tells no cells apart."""
    names = [name for axis in AXES for name in axis.columns]
    axes, caption = axis_columns([cell.cell.describe() for cell in cells], names)
    seconds = ["" if cell.done else "?" if cell.seconds is None else f"{cell.seconds:.0f}" for cell in cells]
    state = [
        TextColumn("release", [cell.release for cell in cells], rank=1),
        TextColumn("cell", ["done" if cell.done else "to run" for cell in cells]),
        TextColumn("seconds", seconds, "number"),
    ]
    print_table([*axes, *state], layout)
    print_notes(caption)
