"""``ucbench run``: compute cells and show them beside their references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import as_json, axis_options, is_quiet, requested_cells, verbosity
from ucbench.cli.output import print_json

if TYPE_CHECKING:
    from ucbench.running.runner import Rerun


@click.command("run")
@axis_options
@click.option(
    "--executor",
    default="serial",
    show_default=True,
    metavar="NAME",
    help="What computes the cells: serial, process, process:workers=2,limit=3600 (seconds per cell), ray.",
)
@click.option(
    "--rerun",
    type=click.Choice(["missing", "failed", "all"]),
    default="failed",
    show_default=True,
    help="Compute only cells without a record; also those that failed; or all, and report differences.",
)
@as_json
@verbosity
def run_command(as_json: bool, out: Path | None, executor: str, rerun: Rerun, **options: Any) -> int:
    """Craft, train and evaluate the cross product of the axes.

    Every axis may be repeated. Clean and sham references are added. Cells in the store or in --out are not computed
    again.

    \b
      ucbench run --poisoner uc --victim resnet18
      ucbench run --poisoner uc --poisoner lsp --seed 0-2 --out results
      ucbench run --suite smoke --out results
    """
    from ucbench.api import run_session
    from ucbench.progress import reporting

    with reporting(quiet=is_quiet()) as progress:
        cells, session = requested_cells(options, progress)
        records = run_session(cells, session, out=out, executor=executor, rerun=rerun)

    from ucbench.cli.summary import print_summary
    from ucbench.results.table import columns, dicts, rows

    table = rows(records)
    if as_json:
        print_json(dicts(table[columns(table)]))
    else:
        print_summary(table)
        if out is not None:
            click.echo(f"Written: {out / 'results.csv'}, {out / 'records'}/, {out / 'sheets'}/", err=True)
    return 1 if any(record["status"] != "ok" for record in records) else 0
