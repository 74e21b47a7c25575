"""``ucbench analyze``: measure why releases are unlearnable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.completion import components, record_folders
from ucbench.cli.lazy import MACHINE, OUTPUT, WHAT
from ucbench.cli.options import FOLDER, AsJson, CellRequest, argument, is_quiet, option, requesting_cells, with_layout
from ucbench.cli.output import TableLayout, print_failures, print_json, print_notes, print_table
from ucbench.errors import UsageError
from ucbench.results.text import TextColumn

if TYPE_CHECKING:
    from ucbench.analysis.analyze import Analysis

#: Correlations that are printed; analysis.md has all.
_SHOWN = 8

app = typer.Typer()


@app.command("analyze", no_args_is_help=True, rich_help_panel="Experiments")
@requesting_cells
@with_layout
def analyze_command(
    request: CellRequest,
    layout: TableLayout,
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
) -> int:  # fmt: skip
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
    from ucbench.progress import reporting
    from ucbench.steps import analyze_folder, analyze_session

    wanted = AnalysisRequest(layer, pairs, maps)
    with reporting(quiet=is_quiet()) as progress:
        if results is not None:
            session = request.of_records(progress)
            result = analyze_folder(results, session, wanted, out=out, executor=executor)
        else:
            cells, session = request.cells(progress)
            result = analyze_session(cells, session, wanted, out=out, executor=executor)
    if as_json:
        from ucbench.results.table import dicts

        print_json({"cells": dicts(result.table), "correlations": dicts(result.correlations)})
    else:
        _print(result, layout)
    if is_quiet():  # else progress said so
        print_failures(result.failed)
    elif result.files:
        typer.echo(
            f"Written: {', '.join(str(path) for path in result.files[:2])}, {len(result.files) - 2} plots", err=True
        )
    return 1 if result.failed else 0


def _print(result: Analysis, layout: TableLayout) -> None:
    from ucbench.analysis.report import correlation_lines, lines
    from ucbench.results.statistics import BOTH

    header, rows = lines(result.groups)
    names = header[: header.index("accuracy %")]
    print_table(_columns(header, rows, names), layout, "analysis.csv")
    if any(group.accuracy.interval.n == 2 for group in result.groups):
        print_notes(BOTH)
    header, rows = correlation_lines(result.correlations)
    if rows:
        typer.echo("\nWhat goes with accuracy (rank correlation over these lines):")
        print_table(
            _columns(header, rows[:_SHOWN], ("victim", "measure")), TableLayout(wide=layout.wide), "analysis.md"
        )


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str]) -> list[TextColumn]:
    """Texts and numbers; accuracy and information stay longest."""
    first = (*names, "accuracy %", "information, nats")
    return [
        TextColumn(
            title,
            [row[place] for row in rows],
            "name" if title in names else "number",
            rank=0 if title in first else place + 1,
        )
        for place, title in enumerate(header)
    ]
