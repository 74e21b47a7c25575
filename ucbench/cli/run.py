"""``ucbench run``: compute cells and show them beside their references."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ucbench.cli.axes import axis_options, chosen_axes
from ucbench.cli.options import as_json, is_quiet, verbosity
from ucbench.cli.output import print_json


@click.command("run")
@axis_options
@as_json
@verbosity
def command(as_json: bool, out: str | None, data_root: str | None, **options: Any) -> int:
    """Craft, train and evaluate the cross product of the axes.

    Every axis may be repeated. Clean and sham references are added. What is in the store or in --out is not computed
    again.

    \b
      ucbench run --poisoner uc --victim resnet18
      ucbench run --poisoner uc --poisoner lsp --craft-labels clusters:k=10 --seed 0-2 --out results
    """
    from ucbench.api import axes, run_session, session
    from ucbench.progress import reporting

    if data_root is not None:
        os.environ["UCBENCH_DATA"] = data_root
    request = axes(**chosen_axes(options))
    arithmetic = {name: options[name] for name in ("device", "dtype", "threads")}
    folder = Path(out) if out is not None else None
    with reporting(quiet=is_quiet()) as progress:
        records = run_session(request, session(progress=progress, **arithmetic), out=folder)

    from ucbench.cli.summary import print_summary
    from ucbench.results import COLUMNS, rows

    table = rows(records)
    if as_json:
        print_json([{column: row[column] for column in COLUMNS} for row in table])
    else:
        print_summary(table)
        if folder is not None:
            click.echo(f"Written: {folder / 'results.csv'}, {folder / 'records'}/, {folder / 'sheets'}/", err=True)
    return 1 if any(record["status"] != "ok" for record in records) else 0
