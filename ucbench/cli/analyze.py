"""``ucbench analyze``: measure why releases are unlearnable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.completion import components, record_folders
from ucbench.cli.lazy import MACHINE, OUTPUT, WHAT
from ucbench.cli.options import FOLDER, AsJson, Request, argument, is_quiet, option, requesting_cells
from ucbench.cli.output import print_json, print_table
from ucbench.errors import UsageError

if TYPE_CHECKING:
    from ucbench.analysis.analyze import Analysis

#: Correlations that are printed; analysis.md has all.
_SHOWN = 8

app = typer.Typer()


@app.command("analyze", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
def analyze_command(
    request: Request,
    results: Annotated[
        Path | None,
        argument("[RESULTS]", "A folder of records, as the --out of a run, instead of axes.", record_folders, **FOLDER),
    ] = None,
    layer: Annotated[
        str, option("LAYER", "Layer of the victim: penultimate, input, logits, or a number: 1 is the first.", WHAT)
    ] = "penultimate",
    pairs: Annotated[int, option("N", "Images measured at most, with and without perturbation.", WHAT, min=10)] = 2000,
    maps: Annotated[int, option("N", "Images in each map of features; 0: no maps.", OUTPUT, min=0)] = 500,
    executor: Annotated[
        str, option("NAME", "What computes cells, as in `ucbench run`.", MACHINE, complete=components("executor"))
    ] = "serial",
    out: Annotated[
        Path | None,
        option("FOLDER", "Folder for analysis.csv, analysis.md and plots.", OUTPUT, default="only printed",
               complete=record_folders, file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure why releases are unlearnable: information, covariance, uniformity, separability, spectrum.

    Axes are those of `ucbench run`. Cells that are not done are run first, and their victims are kept in the store; of
    records in a folder, victims that were not kept are trained again.

        ucbench analyze --poisoner uc --poisoner mi-ue@quick --victim airbench@small --out analysis
        ucbench analyze results --layer 3 --out analysis
        ucbench analyze --suite mi-by-depth --out analysis
    """
    if results is not None and (request.axes or request.suite):
        raise UsageError("Give a folder of results or axes, not both: a folder says what its cells are.")
    from ucbench.analysis.measures import AnalysisRequest
    from ucbench.api import analyze_folder, analyze_session, open_session
    from ucbench.progress import reporting

    wanted = AnalysisRequest(layer, pairs, maps)
    with reporting(quiet=is_quiet()) as progress:
        if results is not None:
            session = open_session(device=request.device, progress=progress)
            found = analyze_folder(results, session, wanted, out=out, executor=executor)
        else:
            cells, session = request.cells(progress)
            found = analyze_session(cells, session, wanted, out=out, executor=executor)
    if as_json:
        from ucbench.results.table import dicts

        print_json({"cells": dicts(found.table), "correlations": dicts(found.correlations)})
    else:
        _print(found)
    if found.files:
        typer.echo(
            f"Written: {', '.join(str(path) for path in found.files[:2])}, {len(found.files) - 2} plots", err=True
        )


def _print(found: Analysis) -> None:
    from ucbench.analysis.report import correlation_lines, lines

    header, rows = lines(found.groups)
    optional = [name for name in header[::-1] if name not in ("poisoner", "accuracy %", "information, nats")]
    print_table(header, rows, optional=optional)
    header, rows = correlation_lines(found.correlations)
    if rows:
        typer.echo("\nWhat goes with accuracy (rank correlation over these lines):")
        print_table(header, rows[:_SHOWN])
