"""``ucbench plan``: the cells of a run and their costs, without running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.catalogue import hint
from ucbench.cli.completion import record_folders
from ucbench.cli.lazy import OUTPUT, WHAT
from ucbench.cli.options import AsJson, Request, flag, is_quiet, option, requesting_cells
from ucbench.cli.output import print_json, print_table
from ucbench.matrix.axes import AXES
from ucbench.progress import duration
from ucbench.results.columns import column

if TYPE_CHECKING:
    from ucbench.api import PlannedCell


#: The columns of a cell, with one for the budget; all but the poisoner and the budget only if cells differ in them.
_COLUMNS = [name.replace("epsilon", "budget") for axis in AXES for name in axis.columns if name != "norm"]
_SHARED = [name for name in _COLUMNS if name not in ("poisoner", "budget")]
#: What a narrow terminal leaves out, the first of them first.
_OPTIONAL = ("preset", "surrogate", "craft_labels", "trusted", "mixture", "dataset", "labeling", "train_seed", "victim",
             "craft_seed")  # fmt: skip

app = typer.Typer()


@app.command("plan", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
def plan_command(
    request: Request,
    probe: Annotated[bool, flag("--time", "Time two steps of every kind of training never done here.", WHAT)] = False,
    out: Annotated[
        Path | None,
        option("FOLDER", "The --out of a run; cells with a record there count as done.", OUTPUT,
               default="only the store", complete=record_folders, file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show the cells of a run without running them.

    Seconds are predicted from earlier trainings of the same victim and crafts of the same poisoner on this machine; ?
    means that there are none. With --time, two steps of the missing trainings are timed, but no crafts.
    """
    from ucbench.api import plan_session
    from ucbench.progress import reporting

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
    """Print one line per cell, and once what all cells share; a narrow terminal leaves columns out, preset first."""
    values = [cell.cell.describe() for cell in cells]
    # None does not count: clean cells have no craft seed.
    texts = {name: {str(cell[name]) for cell in values if cell[name] is not None} for name in _SHARED}
    shown = [name for name in _COLUMNS if name not in _SHARED or len(texts[name]) > 1]
    header = [*(name if name == "budget" else column(name).heading for name in shown), "release", "cell", "seconds"]
    lines = [
        [
            *("" if row[name] is None else str(row[name]) for name in shown),
            "stored" if cell.release_done else "to craft",
            "done" if cell.done else "to run",
            "" if cell.done else "?" if cell.seconds is None else f"{cell.seconds:.0f}",
        ]
        for cell, row in zip(cells, ({**row, "budget": _budget(row)} for row in values), strict=True)
    ]
    optional = [*(column(name).heading for name in _OPTIONAL), "budget", "release", "defense"]
    hint(print_table(header, lines, optional=optional))
    # 0 trusted images are not mentioned.
    shared = {
        name: text for name in _SHARED if name not in shown for text in texts[name] if text != "0" or name != "trusted"
    }
    typer.echo("; ".join(f"{column(name).heading} {text}" for name, text in shared.items()))


def _budget(cell: Mapping[str, Any]) -> str:
    return "" if cell["epsilon"] is None else f"{cell['norm']} {cell['epsilon']:g}"
