"""``ucbench cache``: the store of releases, surrogates and finished cells."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Annotated

import typer

from ucbench.cli.completion import of
from ucbench.cli.lazy import lazy
from ucbench.cli.options import AsJson, argument, flag, option
from ucbench.cli.output import age_text, as_bytes, as_seconds, print_json, print_table, size_text
from ucbench.results.text import TextColumn
from ucbench.store.keys import KINDS

app = typer.Typer(
    name="cache",
    cls=lazy(dict.fromkeys(("ls", "verify", "gc"), "cache")),
    no_args_is_help=True,
    rich_help_panel="This machine",
    help="List, verify and clean up the store.",
)

_KINDS = of(*KINDS)
Kind = Annotated[str | None, argument("KIND", f"Only objects of this kind: {', '.join(KINDS)}.", _KINDS, "all kinds")]


@app.command("ls")
def ls_command(kind: Kind = None, as_json: AsJson = False) -> None:
    """List the number and size of objects by kind, or the objects of one KIND."""
    from ucbench.store.gc import entries
    from ucbench.store.store import Store

    store, now = Store(), time.time()
    objects = list(entries(store, [kind] if kind else []))
    if as_json:
        print_json([{"kind": e.kind, "key": e.key, "bytes": e.bytes, "unused_seconds": now - e.used} for e in objects])
        return
    if kind:
        print_table(
            [
                TextColumn("key", [entry.key for entry in objects]),
                TextColumn("size", [size_text(entry.bytes) for entry in objects], "number"),
                TextColumn("unused for", [age_text(now - entry.used) for entry in objects], "number"),
            ]
        )
    else:
        groups = {name: list(group) for name, group in groupby(objects, key=lambda entry: entry.kind)}
        sizes = [size_text(sum(entry.bytes for entry in group)) for group in groups.values()]
        print_table(
            [
                TextColumn("kind", list(groups)),
                TextColumn("objects", [str(len(group)) for group in groups.values()], "number"),
                TextColumn("size", sizes, "number"),
            ]
        )
    typer.echo(f"{len(objects)} objects, {size_text(sum(entry.bytes for entry in objects))}, in {store.root}", err=True)


@app.command("verify")
def verify_command(kind: Kind = None) -> int:
    """Compare every object, or those of one KIND, with its stored hashes.

    Damaged objects are moved to quarantine; the next run that needs one makes it again. Exit code 1 if any is damaged.
    """
    from ucbench.store.gc import verify
    from ucbench.store.store import Store

    store = Store()
    verdicts = [intact for _, intact in verify(store, [kind] if kind else [])]
    damaged = verdicts.count(False)
    typer.echo(f"{len(verdicts)} objects, {damaged or 'none'} damaged.")
    if damaged:
        typer.echo(f"Moved to {store.root / 'quarantine'}; runs that need them make them again.", err=True)
    return 1 if damaged else 0


@app.command("gc")
def gc_command(
    older_than: Annotated[
        float | None,
        option("AGE", "Remove objects that were not used for this long: 12h, 30d, 2w.", parser=as_seconds),
    ] = None,
    keep: Annotated[
        int | None,
        option("SIZE", "Remove the longest unused until the rest fits this size: 10GB, 0.", parser=as_bytes),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        option("KIND", "Only objects of this kind; repeatable.", None, "--kind", default="all kinds", complete=_KINDS),
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", "Show what would be removed; remove nothing.")] = False,
) -> None:
    """Remove objects from the store. Later runs make them again if needed; records in result folders stay.

    Without --older-than and --keep, only leftovers go: objects in quarantine, unfinished files of killed processes,
    and checkpoints older than a day. Nothing that a process is writing is touched.
    """
    from ucbench.store.gc import entries, remove, sweep, unused
    from ucbench.store.store import Store

    store = Store()
    candidates = unused(entries(store, kinds or []), older_than=older_than, keep=keep)
    if dry_run:
        for entry in candidates:
            typer.echo(f"{entry.kind} {entry.key} {size_text(entry.bytes)}")
        typer.echo(f"Would remove {len(candidates)} objects, {size_text(sum(entry.bytes for entry in candidates))}.")
        return
    count, size = remove(store, candidates)
    leftovers = sweep(store)
    typer.echo(f"Removed {count} objects, {size_text(size)}, and {size_text(leftovers)} of leftovers.")
