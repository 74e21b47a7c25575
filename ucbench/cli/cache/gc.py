"""``ucbench cache gc``: make room in the store."""

from __future__ import annotations

import click

from ucbench.cli.cache.sizes import as_bytes, as_seconds, size_text
from ucbench.cli.options import verbosity


@click.command("gc")
@click.option(
    "--older-than", callback=as_seconds, metavar="AGE", help="Remove what was not used for that long: 12h, 30d, 2w."
)
@click.option(
    "--keep", callback=as_bytes, metavar="SIZE", help="Remove the longest unused until the rest fits: 10GB, 0."
)
@click.option("--kind", "kinds", multiple=True, help="Only objects of this kind (release, prepared, ...); repeatable.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@verbosity
def command(older_than: float | None, keep: int | None, kinds: tuple[str, ...], dry_run: bool) -> None:
    """Remove objects from the store. What a run needs later is made again; records in result folders stay.

    Without --older-than and --keep, only leftovers go: damaged objects that were set aside, what killed processes
    left half-made, checkpoints of a day ago. Nothing that a process is making at this moment is touched.
    """
    from ucbench.store import Store
    from ucbench.upkeep import entries, remove, sweep, unused

    store = Store()
    chosen = unused(entries(store, kinds), older_than=older_than, keep=keep)
    if dry_run:
        for entry in chosen:
            click.echo(f"{entry.kind} {entry.key} {size_text(entry.bytes)}")
        click.echo(f"Would remove {len(chosen)} objects, {size_text(sum(entry.bytes for entry in chosen))}.")
        return
    count, size = remove(store, chosen)
    left = sweep(store)
    click.echo(f"Removed {count} objects, {size_text(size)}, and {size_text(left)} of leftovers.")
