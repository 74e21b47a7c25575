"""``ucbench run``: compute cells and show them beside their references."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ucbench.cli.completion import components
from ucbench.cli.lazy import MACHINE, WHAT
from ucbench.cli.options import AsJson, CellRequest, OutFolder, is_quiet, option, requesting_cells, with_layout
from ucbench.cli.output import TableLayout, print_failures, print_json, print_summary

app = typer.Typer()


@app.command("run", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
@with_layout
def run_command(
    request: CellRequest,
    layout: TableLayout,
    rerun: Annotated[
        Literal["missing", "failed", "all"],
        typer.Option(
            rich_help_panel=WHAT,
            help="Compute only cells without a record; also those that failed; or all, and report differences.",
        ),
    ] = "failed",
    executor: Annotated[
        str,
        option("NAME", "What computes cells: serial, process, process:workers=2,limit=3600 (seconds per cell), ray.",
               MACHINE, complete=components("executor")),
    ] = "serial",
    out: OutFolder = None,
    as_json: AsJson = False,
) -> int:  # fmt: skip
    """Craft, train and evaluate the cross product of the axes.

    An axis may be given several times. Clean and sham references are added. Cells in the store or in --out are not
    computed again.

        ucbench run --poisoner uc --victim airbench@small
        ucbench run --poisoner uc --poisoner lsp --seed 0-3 --out results
        ucbench run --suite smoke --out results
    """
    from ucbench.progress import reporting
    from ucbench.steps import run_session

    if layout.names:  # before hours of work
        from ucbench.results.view import check_columns

        check_columns(layout.names)

    with reporting(quiet=is_quiet()) as progress:
        cells, session = request.cells(progress)
        records = run_session(cells, session, out=out, executor=executor, rerun=rerun)
        from ucbench.results.table import columns_with_errors, dicts, rows

        table = rows(records)
    if is_quiet():  # else progress said so
        print_failures(records)
    if as_json:
        print_json(dicts(table[columns_with_errors(table)]))
    else:
        print_summary(table, layout, "results.csv" if out is not None else "")
        if out is not None and not is_quiet():
            typer.echo(f"Written: {out / 'results.csv'}, {out / 'records'}/, {out / 'sheets'}/", err=True)
    return 1 if any(record["status"] != "ok" for record in records) else 0
