"""``ucbench cache ls``: what is in the store."""

from __future__ import annotations

import time
from itertools import groupby

import click

from ucbench.cli.cache.sizes import age_text, size_text
from ucbench.cli.options import as_json, verbosity
from ucbench.cli.output import print_json, print_table


@click.command("ls")
@click.argument("kind", required=False)
@as_json
@verbosity
def command(kind: str | None, as_json: bool) -> None:
    """List how much there is of every kind, or the objects of one KIND (release, surrogate, cell, prepared, ...)."""
    from ucbench.store import Store
    from ucbench.upkeep import entries

    store, now = Store(), time.time()
    found = list(entries(store, [kind] if kind else []))
    if as_json:
        print_json([{"kind": e.kind, "key": e.key, "bytes": e.bytes, "unused_seconds": now - e.used} for e in found])
        return
    if kind:
        print_table(["key", "size", "unused for"], [[e.key, size_text(e.bytes), age_text(now - e.used)] for e in found])
    else:
        lines = []
        for name, group in groupby(found, key=lambda entry: entry.kind):
            members = list(group)
            lines.append([name, str(len(members)), size_text(sum(entry.bytes for entry in members))])
        print_table(["kind", "objects", "size"], lines)
    click.echo(f"{len(found)} objects, {size_text(sum(entry.bytes for entry in found))}, in {store.root}", err=True)
