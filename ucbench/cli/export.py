"""``ucbench export``: a release as images to publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ucbench.cli.options import FILE, axis_options, chosen_axes, chosen_cells, is_quiet, verbosity

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell
    from ucbench.progress import Progress
    from ucbench.results.records import Record
    from ucbench.session import Session


@click.command("export")
@click.option("--record", "path", type=FILE, help="A cell's JSON record, instead of axes.")
@click.option("--license", metavar="URL", help="Terms it is published under, for croissant.json; the source's bind.")
@click.option("--creator", metavar="NAME", help="Who publishes it, for croissant.json.")
@click.option("--url", metavar="URL", help="The page it is published at, for croissant.json.")
@click.option("--date", metavar="YYYY-MM-DD", help="When it is published, for croissant.json.")
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

    The release is that of a record, or of the cell that the axes name; it is taken from the store, or crafted.

    \b
      ucbench export --record results/records/0b0ad6c41570afed71b4ba981a1d888f.json --out release
      ucbench export --poisoner uc --dataset cifar10 --epsilon 8/255 --out release
    """
    from ucbench.progress import reporting

    with reporting(quiet=is_quiet()) as progress:
        record, cell, here = _recorded(path, options, progress) if path else (None, *_named(options, progress))

        from ucbench.export.croissant import About
        from ucbench.export.release import export_release

        about = About(license, creator, url, date)
        done = export_release(cell, here, out, about, record)
    click.echo(
        f"{done.folder}: {done.images} images, {done.protected} of them perturbed, of the release {done.release}."
    )
    if about.missing:
        names = ", ".join(f"--{name}" for name in about.missing)
        click.echo(f"croissant.json lacks what only you know: {names}.", err=True)


# The axes bring an --out that may be left away, for records and tables.
_out = next(parameter for parameter in export_command.params if parameter.name == "out")
assert isinstance(_out, click.Option)
_out.required, _out.help = True, "A new folder."


def _recorded(path: Path, options: dict[str, Any], progress: Progress) -> tuple[Record, Cell, Session]:
    """The record, its cell, and a session with its arithmetic."""
    from ucbench.api import session
    from ucbench.errors import UsageError
    from ucbench.matrix.from_record import cell_of
    from ucbench.numerics import Numerics
    from ucbench.results.records import read_record

    if options["suite"] or chosen_axes(options):
        raise UsageError("Give either --record, which names a cell, or the axes of one.")
    record = read_record(path)
    here = session(device=options["device"], progress=progress)
    here = here.with_numerics(Numerics(here.numerics.device, **record["numerics"]))
    return record, cell_of(record, here.registry), here


def _named(options: dict[str, Any], progress: Progress) -> tuple[Cell, Session]:
    """The one cell whose release the axes name."""
    from ucbench.errors import UsageError

    cells, here = chosen_cells(options, progress)
    others = [cell for cell in cells if not cell.craft.is_reference]
    # References come along with every request; one is exported only where nothing else is requested.
    wanted = others or [cell for cell in cells if not cell.craft.is_clean] or cells
    releases = {str(_published(cell)): cell for cell in wanted}
    if len(releases) > 1:
        raise UsageError(
            f"These axes name {len(releases)} releases, and one is exported at a time: narrow them down, for instance"
            " to one --poisoner, --epsilon and --seed."
        )
    return next(iter(releases.values())), here


def _published(cell: Cell) -> dict[str, Any]:
    """What distinguishes published sets: everything but what the exploiter does with them."""
    values = cell.describe()
    return {name: value for name, value in values.items() if name not in ("defense", "victim", "train_seed")}
