"""``ucbench cache``: the store of releases, surrogates and finished cells."""

from __future__ import annotations

import time
from itertools import groupby

import click

from ucbench.cli.options import LazyGroup, as_json, verbosity
from ucbench.cli.output import age_text, as_bytes, as_seconds, print_json, print_table, size_text


@click.group("cache", cls=LazyGroup, modules=dict.fromkeys(("ls", "verify", "gc"), "cache"))
def cache_command() -> None:
    """List, verify and clean up the store."""


@click.command("ls")
@click.argument("kind", required=False)
@as_json
@verbosity
def ls_command(kind: str | None, as_json: bool) -> None:
    """List the number and size of objects by kind, or the objects of one KIND (release, surrogate, cell, ...)."""
    from ucbench.store.gc import entries
    from ucbench.store.store import Store

    store, now = Store(), time.time()
    objects = list(entries(store, [kind] if kind else []))
    if as_json:
        print_json([{"kind": e.kind, "key": e.key, "bytes": e.bytes, "unused_seconds": now - e.used} for e in objects])
        return
    if kind:
        print_table(
            ["key", "size", "unused for"], [[e.key, size_text(e.bytes), age_text(now - e.used)] for e in objects]
        )
    else:
        lines = []
        for name, group in groupby(objects, key=lambda entry: entry.kind):
            members = list(group)
            lines.append([name, str(len(members)), size_text(sum(entry.bytes for entry in members))])
        print_table(["kind", "objects", "size"], lines)
    click.echo(f"{len(objects)} objects, {size_text(sum(entry.bytes for entry in objects))}, in {store.root}", err=True)


@click.command("verify")
@click.argument("kind", required=False)
@verbosity
def verify_command(kind: str | None) -> int:
    """Compare every object, or those of one KIND, with its stored hashes.

    Damaged objects are moved to quarantine; the next run that needs one makes it again. Exit code 1 if any is damaged.
    """
    from ucbench.store.gc import verify
    from ucbench.store.store import Store

    store = Store()
    verdicts = [intact for _, intact in verify(store, [kind] if kind else [])]
    damaged = verdicts.count(False)
    click.echo(f"{len(verdicts)} objects, {damaged or 'none'} damaged.")
    if damaged:
        click.echo(f"Moved to {store.root / 'quarantine'}; runs that need them make them again.", err=True)
    return 1 if damaged else 0


@click.command("gc")
@click.option(
    "--older-than",
    callback=as_seconds,
    metavar="AGE",
    help="Remove objects that were not used for this long: 12h, 30d, 2w.",
)
@click.option(
    "--keep",
    callback=as_bytes,
    metavar="SIZE",
    help="Remove the longest unused until the rest fits this size: 10GB, 0.",
)
@click.option("--kind", "kinds", multiple=True, help="Only objects of this kind (release, prepared, ...); repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@verbosity
def gc_command(older_than: float | None, keep: int | None, kinds: tuple[str, ...], dry_run: bool) -> None:
    """Remove objects from the store. Later runs make them again if needed; records in result folders stay.

    Without --older-than and --keep, only leftovers go: objects in quarantine, unfinished files of killed processes,
    and checkpoints older than a day. Nothing that a process is writing is touched.
    """
    from ucbench.store.gc import entries, remove, sweep, unused
    from ucbench.store.store import Store

    store = Store()
    candidates = unused(entries(store, kinds), older_than=older_than, keep=keep)
    if dry_run:
        for entry in candidates:
            click.echo(f"{entry.kind} {entry.key} {size_text(entry.bytes)}")
        click.echo(f"Would remove {len(candidates)} objects, {size_text(sum(entry.bytes for entry in candidates))}.")
        return
    count, size = remove(store, candidates)
    leftovers = sweep(store)
    click.echo(f"Removed {count} objects, {size_text(size)}, and {size_text(leftovers)} of leftovers.")
