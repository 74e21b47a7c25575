"""``ucbench leaderboard plot``: a leaderboard's rows as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.options import verbosity


@click.command("plot")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--by", metavar="AXIS", default="defense", show_default=True, help="Column along the axis.")
@click.option(
    "--measure", metavar="COLUMN", default="test_accuracy", show_default=True, help="Column drawn: mean and interval."
)
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value; several of a column are either."
)
@click.option("--title", help="Default: what the folder's suite is called.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="PNG, SVG or PDF; default: FOLDER/AXIS.png."
)
@verbosity
def command(folder: str, by: str, measure: str, where: tuple[str, ...], title: str | None, out: Path | None) -> None:
    """Draw the rows of the leaderboard in FOLDER: one measure along one axis, a mark for all else that differs.

    Example: `ucbench leaderboard plot FOLDER --by labeling --measure gap_removed`. Needs the extra `plot`.
    """
    from ucbench.cli.leaderboard.folder import suite_of
    from ucbench.leaderboards.plots import plot, selected
    from ucbench.leaderboards.tables import records_in
    from ucbench.results import rows

    if not Path(folder).is_dir():
        raise click.UsageError(f"There is no folder {folder!r}.")
    table = selected(rows(records_in(Path(folder))), where)
    if title is None:
        suite = suite_of(Path(folder), None)
        title = suite.title if suite else Path(folder).name
    target = out or Path(folder) / f"{by}.png"
    plot(table, target, by=by, measure=measure, title=title)
    click.echo(target)
