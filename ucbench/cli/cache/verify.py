"""``ucbench cache verify``: whether the store is intact."""

from __future__ import annotations

import click

from ucbench.cli.options import verbosity


@click.command("verify")
@click.argument("kind", required=False)
@verbosity
def command(kind: str | None) -> int:
    """Compare every object, or those of one KIND, with the hashes it was stored with.

    A damaged one is moved aside and made again by the next run that needs it. Exit code 1 if there was any.
    """
    from ucbench.store import Store
    from ucbench.upkeep import verify

    store = Store()
    intact = [good for _, good in verify(store, [kind] if kind else [])]
    damaged = intact.count(False)
    click.echo(f"{len(intact)} objects, {damaged or 'none'} damaged.")
    if damaged:
        click.echo(f"Set aside in {store.root / 'quarantine'}; runs that need them make them again.", err=True)
    return 1 if damaged else 0
