"""``ucbench plan``: which cells a run would have, and what they would cost; nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.axes import axis_options, chosen_cells
from ucbench.cli.options import as_json, verbosity
from ucbench.cli.output import print_json, print_table
from ucbench.progress import duration

if TYPE_CHECKING:
    from ucbench.api import PlannedCell


@click.command("plan")
@axis_options
@click.option("--time", "probe", is_flag=True, help="Time two steps of every kind of training never done here.")
@as_json
@verbosity
def command(as_json: bool, out: str | None, probe: bool, **options: Any) -> None:
    """Show the cells of a run without running them.

    Seconds are those that cells of the same victim, or crafts of the same poisoner, took on this machine's store
    before; unknown ones are shown as ?. With --time, trainings never done here are timed for two steps; how long a
    poisoner crafts is known only once it has.
    """
    from ucbench.api import plan_session

    chosen, here = chosen_cells(options)
    cells = plan_session(chosen, here, out=Path(out) if out is not None else None, probe=probe)
    if as_json:
        print_json(
            [
                {**cell.cell.describe(), "cell": cell.key, "done": cell.done, "release_done": cell.release_done,
                 "seconds": cell.seconds}
                for cell in cells
            ]
        )  # fmt: skip
        return
    print_table([*_SHOWN, "release", "cell", "seconds"], [_line(cell) for cell in cells])
    missing = [cell for cell in cells if not cell.done]
    text = f"{len(cells)} cells, {len(cells) - len(missing)} done"
    if missing:
        known = [cell.seconds for cell in missing if cell.seconds is not None]
        costs = [f"about {duration(sum(known))}"] if known else []
        if len(known) < len(missing):
            costs.append(f"{len(missing) - len(known)} cells of a kind never timed on this machine")
        text += f"; the rest: {', and '.join(costs)}"
    click.echo(f"{text}.")


_SHOWN = (
    "dataset", "poisoner", "preset", "surrogate", "craft_labels", "labeling", "defense", "victim", "norm", "epsilon",
    "craft_seed", "train_seed",
)  # fmt: skip


def _line(planned: PlannedCell) -> list[str]:
    values = planned.cell.describe()
    shown = ["" if values[name] is None else str(values[name]) for name in _SHOWN]
    seconds = "" if planned.done else "?" if planned.seconds is None else f"{planned.seconds:.0f}"
    return [*shown, "stored" if planned.release_done else "to craft", "done" if planned.done else "to run", seconds]
