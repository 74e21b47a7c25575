"""``ucbench export``: a release as images to publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import FILE, axis_options, is_quiet, requested_axes, requested_cells, verbosity

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell
    from ucbench.progress import Progress
    from ucbench.results.records import Record
    from ucbench.session import Session


@click.command("export")
@click.option("--record", "path", type=FILE, help="A cell's JSON record, instead of axes.")
@click.option(
    "--license", metavar="URL", help="URL of the terms, for croissant.json; respect those of the source data."
)
@click.option("--creator", metavar="NAME", help="The publisher, for croissant.json.")
@click.option("--url", metavar="URL", help="The page of the published set, for croissant.json.")
@click.option("--date", metavar="YYYY-MM-DD", help="Date of publication, for croissant.json.")
@axis_options
@verbosity
def export_command(
    path: Path | None,
    license: str | None,
    creator: str | None,
    url: str | None,
    date: str | None,
    out: Path,
    **options: Any,
) -> None:
    """Write one release as PNG images with labels, hashes and a Croissant description.

    The release is that of a record, or of the cell that the axes name, from the store or crafted now.

    \b
      ucbench export --record results/records/0b0ad6c41570afed71b4ba981a1d888f.json --out release
      ucbench export --poisoner uc --dataset cifar10 --epsilon 8/255 --out release
    """
    from ucbench.progress import reporting

    with reporting(quiet=is_quiet()) as progress:
        record, cell, session = _recorded(path, options, progress) if path else (None, *_named(options, progress))

        from ucbench.export.croissant import About
        from ucbench.export.release import export_release

        about = About(license, creator, url, date)
        export = export_release(cell, session, out, about, record)
    click.echo(
        f"{export.folder}: release {export.release}, {export.images} images, {export.protected} of them perturbed."
    )
    if about.missing:
        names = ", ".join(f"--{name}" for name in about.missing)
        click.echo(f"croissant.json lacks what only you know: {names}.", err=True)


# The --out of axis_options is optional and for records and tables.
_out = next(parameter for parameter in export_command.params if parameter.name == "out")
assert isinstance(_out, click.Option)
_out.required, _out.help = True, "A new folder."


def _recorded(path: Path, options: dict[str, Any], progress: Progress) -> tuple[Record, Cell, Session]:
    """The record, its cell, and a session with its numerics."""
    from ucbench.api import open_session
    from ucbench.errors import UsageError
    from ucbench.matrix.from_record import cell_of
    from ucbench.numerics import Numerics
    from ucbench.results.records import read_record

    if options["suite"] or requested_axes(options):
        raise UsageError("Give either --record, which names a cell, or the axes of one.")
    record = read_record(path)
    session = open_session(device=options["device"], progress=progress)
    session = session.with_numerics(Numerics(session.numerics.device, **record["numerics"]))
    return record, cell_of(record, session.registry), session


def _named(options: dict[str, Any], progress: Progress) -> tuple[Cell, Session]:
    """The cell of the one release that the axes name, and a session."""
    from ucbench.errors import UsageError

    cells, session = requested_cells(options, progress)
    poisoned = [cell for cell in cells if not cell.craft.is_reference]
    # Every request includes references; one is exported only if nothing else is requested.
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
