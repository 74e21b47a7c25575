"""``ucbench leaderboard site``: a leaderboard as static pages."""

from __future__ import annotations

from pathlib import Path

import click

from ucbench.cli.options import verbosity


@click.command("site")
@click.argument("names", nargs=-1, required=True, metavar="[SUITE] FOLDER")
@click.option("--out", type=click.Path(file_okay=False), help="Where the site goes; default: FOLDER/site.")
@verbosity
def command(names: tuple[str, ...], out: str | None) -> None:
    """Write the leaderboard in FOLDER as static pages: tables, charts and a page a cell.

    They need no server: open index.html. SUITE names the defenses that the worst case is taken over; where neither the
    command nor the folder names it, nobody is ranked.
    """
    from ucbench.cli.leaderboard.folder import suite_of
    from ucbench.site import build_site

    if len(names) > 2:
        raise click.UsageError(f"SUITE and FOLDER are wanted, or FOLDER alone; got {len(names)} arguments.")
    folder = Path(names[-1])
    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {str(folder)!r}.")
    target = folder / "site" if out is None else Path(out)
    suite = suite_of(folder, names[0] if len(names) == 2 else None)
    if suite is None:
        count = build_site(folder, target)
    else:
        count = build_site(folder, target, title=suite.title, ranked=suite.file.ranking.defenses)
    click.echo(f"{target / 'index.html'} and {count - 1} more files")
