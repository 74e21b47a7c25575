"""``ucbench export``: a release as images to publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.completion import of
from ucbench.cli.lazy import OUTPUT, WHAT
from ucbench.cli.options import CellRequest, flag, is_quiet, option, requesting_release
from ucbench.export.layouts import HUB, PLATFORMS, Target

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell
    from ucbench.progress import Progress
    from ucbench.results.records import Record
    from ucbench.session import Session


_CROISSANT = "For croissant.json"

app = typer.Typer()


@app.command("export", no_args_is_help=True, rich_help_panel="Results")
@requesting_release
def export_command(
    request: CellRequest,
    out: Annotated[Path, option("FOLDER", "A new folder.", OUTPUT, file_okay=False)],
    path: Annotated[
        Path | None,
        option("FILE", "A cell's JSON record, instead of axes.", WHAT, "--record", exists=True, dir_okay=False),
    ] = None,
    platform: Annotated[
        str | None,
        option("PLATFORM", f"Layout of the files: {', '.join(PLATFORMS)}.", OUTPUT, "--for",
               default="PNG images and labels.csv", complete=of(*PLATFORMS)),
    ] = None,
    with_test: Annotated[
        bool, flag("--with-test", "Also write the clean test images, for platforms that score.", OUTPUT)
    ] = False,
    address: Annotated[
        str | None, option("URL", "Where the folder will lie, for vertex and azure: gs://BUCKET/FOLDER.", OUTPUT)
    ] = None,
    license: Annotated[
        str | None, option("URL", "URL of the terms; respect those of the source data.", _CROISSANT)
    ] = None,
    creator: Annotated[str | None, option("NAME", "The publisher.", _CROISSANT)] = None,
    url: Annotated[str | None, option("URL", "The page of the published set.", _CROISSANT)] = None,
    date: Annotated[str | None, option("YYYY-MM-DD", "Date of publication.", _CROISSANT)] = None,
) -> None:  # fmt: skip
    """Write one release as PNG images with labels, hashes and a Croissant description, or as a platform reads it.

    The release is that of a record, or of the cell that the axes name, from the store or crafted now.

        ucbench export --poisoner uc --dataset cifar10 --epsilon 8/255 --out release
        ucbench export --out release \\
            --record results/records/0b0ad6c41570afed71b4ba981a1d888f.json
        ucbench export --poisoner lsp --dataset digits --for hf --out release
    """
    from ucbench.progress import reporting

    target = Target(platform, address, with_test)
    target.check()  # before anything is crafted
    with reporting(quiet=is_quiet()) as progress:
        record, cell, session = _recorded(path, request, progress) if path else (None, *_named(request, progress))

        from ucbench.export.croissant import About
        from ucbench.export.release import export_release

        about = About(license, creator, url, date)
        export = export_release(cell, session, out, about, record, target)
    typer.echo(
        f"{export.folder}: release {export.release}, {export.images} images, {export.protected} of them perturbed."
    )
    missing = [name for name in about.missing if platform != HUB or name == "license"]
    if missing and not is_quiet():
        names = ", ".join(f"--{name}" for name in missing)
        typer.echo(
            f"{'README.md' if platform == HUB else 'croissant.json'} lacks what only you know: {names}.", err=True
        )


def _recorded(path: Path, request: CellRequest, progress: Progress) -> tuple[Record, Cell, Session]:
    """The record, its cell, and a session with its numerics."""
    from ucbench.errors import UsageError
    from ucbench.matrix.from_record import cell_of
    from ucbench.numerics import Numerics
    from ucbench.results.records import read_record

    if request.suite or request.axes:
        raise UsageError("Give either --record, which names a cell, or the axes of one.")
    session = request.of_records(progress)
    record = read_record(path)
    session = session.with_numerics(Numerics(session.numerics.device, **record["numerics"]))
    return record, cell_of(record, session.registry), session


def _named(request: CellRequest, progress: Progress) -> tuple[Cell, Session]:
    """The cell of the one release that the axes name, and a session."""
    from ucbench.errors import UsageError

    cells, session = request.cells(progress)
    poisoned = [cell for cell in cells if not cell.craft.is_added_reference]
    # Every request includes such references; one is exported only if nothing else is requested.
    candidates = poisoned or [cell for cell in cells if not cell.craft.is_clean] or cells
    releases = {str(_published(cell)): cell for cell in candidates}
    if len(releases) > 1:
        raise UsageError(
            f"These axes name {len(releases)} releases, but one is exported at a time. Narrow them down, for instance"
            " to one --poisoner, --epsilon and --seed."
        )
    return next(iter(releases.values())), session


def _published(cell: Cell) -> dict[str, Any]:
    """The axes that distinguish published sets: all but defense, victim and train seed."""
    values = cell.describe()
    return {name: value for name, value in values.items() if name not in ("defense", "victim", "train_seed")}
