"""``ucbench protect``: perturbed copies of a folder of photos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ucbench.cli.completion import components, of
from ucbench.cli.lazy import MACHINE, OUTPUT, PROTECTOR
from ucbench.cli.options import FOLDER, argument, flag, is_quiet, option, plugin_files
from ucbench.cli.output import print_facts, print_json, print_notes
from ucbench.errors import visible

if TYPE_CHECKING:
    from ucbench.protection.protect import Protection

#: Entries without a copy that are printed; all are in the report.
_SHOWN = 20

app = typer.Typer()


@app.command("protect", no_args_is_help=True, rich_help_panel="Results")
@plugin_files
def protect_command(
    photos: Annotated[Path, argument("PHOTOS", "A folder with photos, also in folders below.", **FOLDER)],
    out: Annotated[Path, option("FOLDER", "Folder for the copies, outside PHOTOS.", OUTPUT, file_okay=False)],
    poisoner: Annotated[
        str | None,
        option("NAME", "What makes the patterns.", PROTECTOR, default="uc@photos", complete=components("poisoner")),
    ] = None,
    epsilon: Annotated[
        str | None, option("LEVELS", "Largest change of a value, in levels of 0 to 255.", PROTECTOR, default="8")
    ] = None,
    clusters: Annotated[
        str | None,
        option("N", "Groups of similar photos, each with one pattern, or auto.", PROTECTOR, default="auto"),
    ] = None,
    surrogate: Annotated[
        str | None,
        option("NAME", "Model that compares photos.", PROTECTOR, default="the poisoner's",
               complete=components("surrogate")),
    ] = None,
    size: Annotated[
        int | None,
        option("PIXELS", "Side of the squares that patterns are made for, 8 to 512.", PROTECTOR, default="32",
               min=8, max=512),
    ] = None,
    seed: Annotated[int | None, option("N", "Of all random choices.", PROTECTOR, default="0", min=0)] = None,
    patterns_of: Annotated[
        Path | None,
        option("FILE", "The ucbench.json of another folder, whose patterns are used.", PROTECTOR, "--with"),
    ] = None,
    format: Annotated[
        Literal["png", "webp", "same", "jpeg"] | None,
        typer.Option(rich_help_panel=OUTPUT, show_default="png",
                     help="Type of the copies. png and webp keep every value; jpeg, and same for JPEG photos, do not."),
    ] = None,
    quality: Annotated[
        int | None,
        option("N", "Of JPEG copies, and AVIF copies with same, 1 to 100.", OUTPUT, default="95", min=1, max=100),
    ] = None,
    keep_gps: Annotated[bool, flag("--keep-gps", "Keep the place where a photo was taken.", OUTPUT)] = False,
    force: Annotated[
        bool,
        flag("--force", "Overwrite files among the copies that you added or changed; read damaged photos again.",
             OUTPUT),
    ] = False,
    dry_run: Annotated[bool, flag("--dry-run", "List what would happen, and do nothing.", OUTPUT)] = False,
    check: Annotated[
        bool,
        flag("--check", "Train on the copies to measure their effect: minutes with --by-folder, else seconds.", OUTPUT),
    ] = False,
    by_folder: Annotated[
        bool, flag("--by-folder", "For --check: every folder directly in PHOTOS is a class.", OUTPUT)
    ] = False,
    as_json: Annotated[bool, flag("--json", "Print JSON instead of text.", OUTPUT)] = False,
    jobs: Annotated[int, option("N", "Processes that write copies.", MACHINE, min=1)] = 2,
    device: Annotated[
        str, option("NAME", "auto, cpu, cuda, cuda:N or mps.", MACHINE, complete=of("auto", "cpu", "cuda", "mps"))
    ] = "auto",
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(rich_help_panel=MACHINE, help="Precision of training.")
    ] = "auto",
    threads: Annotated[int | None, option("N", "CPU threads.", MACHINE, default="the cores of this process")] = None,
) -> None:  # fmt: skip
    """Write perturbed copies of a folder of photos, of any sizes, and a report. The originals stay as they are.

    The same command again does only what is new or changed, and continues where it was interrupted. Publish the copies
    only: with ucbench.json or ucbench.npz anybody can undo the change. Read first what the change does not do:
    docs/protect.md, or the report.

        ucbench protect photos --out safe
        ucbench protect photos --out safe --dry-run
        ucbench protect photos --out safe-2 --with safe/ucbench.json
    """
    from ucbench.api import protect
    from ucbench.progress import reporting

    with reporting(quiet=is_quiet() or as_json) as progress:
        done = protect(
            photos, out, poisoner=poisoner, surrogate=surrogate, epsilon=epsilon,
            clusters=clusters, size=size, seed=seed, format=format,
            quality=quality, keep_gps=keep_gps or None, patterns_of=patterns_of, jobs=jobs, by_folder=by_folder,
            check=check, force=force, dry_run=dry_run, device=device, dtype=dtype, threads=threads, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(done.summary())
    else:
        _print(done)


def _print(done: Protection) -> None:
    """What was done or would be, and what has no copy."""
    from ucbench.progress import duration
    from ucbench.protection.manifest import WEAK

    if done.dry_run:
        for path in done.written:
            typer.echo(visible(f"protect  {path}"))
    for one in done.left if done.dry_run else done.left[:_SHOWN]:
        typer.echo(visible(f"leave    {one.path}: {one.reason}"))
    if not done.dry_run and len(done.left) > _SHOWN:
        typer.echo(f"and {len(done.left) - _SHOWN} more without a copy, see the report")
    reasons = Counter(one.reason for one in done.left)
    facts = [
        ("would be written" if done.dry_run else "copies written", str(0 if done.refused else len(done.written))),
        ("copies in all", str(done.photos)),
        ("without a copy", f"{len(done.left)}" + (f" (most: {reasons.most_common(1)[0][0]})" if reasons else "")),
    ]
    if not done.dry_run:
        facts += [
            (
                "largest change",
                "" if done.linf is None else f"{done.linf} of 255 levels, measured on the written files",
            ),
            ("patterns", str(done.patterns)),
            ("time", f"{duration(done.seconds)}, {done.peak_memory_mib} MiB of memory"),
            ("report", str(done.report)),
        ]
    print_facts(facts)
    if done.refused:
        print_notes(f"A RUN WOULD WRITE NO COPIES: {done.refused}")
    if done.unchanged:
        names = [*done.unchanged[:_SHOWN], *(["and more, see the report"] if len(done.unchanged) > _SHOWN else [])]
        print_notes(f"NOT PROTECTED, since the pattern changes nothing in the photo: {', '.join(names)}")
    if done.notes:
        notes = "; ".join(f"{note} ({count})" for note, count in done.notes.items())
        print_notes(f"Beside the change, by number of copies: {notes}.")
    if done.warnings:
        print_notes(f"DO NOT RELY ON THE COPIES: {WEAK} {' '.join(done.warnings)}")
    if not done.dry_run:
        print_notes(
            "Publish the copies only. Keep ucbench.json, ucbench.npz and report.html to yourself: with them, anybody"
            " can undo the change, and you need them for later photos."
        )
