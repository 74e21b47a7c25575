"""``ucbench leaderboard``: tables, charts and pages from the records of a suite."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ucbench.cli.options import FOLDER, OUT_FILE, OUT_FOLDER, LazyGroup, verbosity

if TYPE_CHECKING:
    from ucbench.matrix.suite import Suite

#: The module of each command, in the order of ``--help``.
COMMANDS = {
    "build": "leaderboard",
    "check": "leaderboard_check",
    "diff": "leaderboard_diff",
    "submit": "leaderboard_check",
    "export": "leaderboard",
    "plot": "leaderboard",
    "site": "leaderboard",
    "tiers": "leaderboard",
}
#: A leaderboard's copy of its suite.
SUITE_FILE = "suite.toml"


@click.group("leaderboard", cls=LazyGroup, modules=COMMANDS)
def leaderboard_command() -> None:
    """Build leaderboards from records; check, compare and publish them."""


def suite_of(folder: Path, name: str | None) -> Suite | None:
    """The suite of that name; else the folder's copy; else the known suite whose title heads the folder's table.

    None if there is none.

    Raises:
        UsageError: if there is no suite of this name, or its file is invalid.
    """
    from ucbench import api
    from ucbench.errors import UcbenchError
    from ucbench.matrix.suite import load_suite

    if name is not None:
        return api.suite(name)
    if (folder / SUITE_FILE).exists():
        return load_suite(folder / SUITE_FILE)
    heading = _heading(folder / "README.md")
    for path in api.suites()[0].values():
        try:
            suite = load_suite(path)
        except UcbenchError:
            continue  # no table was built from a broken suite
        if heading == f"# {suite.title}":
            return suite
    return None


def _heading(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""


@click.command("build")
@click.argument("suite")
@click.option("--records", type=FOLDER, help="A run's --out; default: --out itself.")
@click.option("--out", type=OUT_FOLDER, required=True, help="The leaderboard's folder.")
@verbosity
def build_command(suite: str, records: Path | None, out: Path) -> None:
    """Write results.csv, leaderboard.csv and README.md, a table to read, from the records of SUITE.

    Also copies image sheets, and the suite as suite.toml.
    """
    from ucbench import api
    from ucbench.leaderboard.tables import build

    loaded = api.suite(suite)
    if records is not None and records.resolve() != out.resolve():
        (out / "records").mkdir(parents=True, exist_ok=True)
        for path in sorted((records / "records").glob("*.json")):
            shutil.copyfile(path, out / "records" / path.name)
        for path in sorted((records / "sheets").glob("*.png")):
            (out / "sheets").mkdir(exist_ok=True)
            shutil.copyfile(path, out / "sheets" / path.name)
    shutil.copyfile(loaded.path, out / SUITE_FILE)
    for path in build(out, loaded.file.ranking.defenses, loaded.title):
        click.echo(str(path))


@click.command("export")
@click.argument("folder", type=FOLDER)
@click.option("--to", "exporter", metavar="NAME", required=True, help="Format; see `ucbench list exporter`.")
@click.option("--suite", metavar="NAME", help="Suite of the leaderboard; default: as the folder says.")
@click.option("--out", type=OUT_FILE, help="File to write; default: standard output.")
@verbosity
def export_command(folder: Path, exporter: str, suite: str | None, out: Path | None) -> None:
    """Write the table of the leaderboard in FOLDER as markdown, latex, html, csv or a format of a plugin.

    The table follows from the records, as in `ucbench leaderboard build`.
    """
    from ucbench import api
    from ucbench.errors import UsageError
    from ucbench.leaderboard.tables import entries_in
    from ucbench.store.files import atomic_write_text

    component = api.open_session().registry.resolve("exporter", exporter)
    named = suite_of(folder, suite)
    if named is None:
        raise UsageError(f"{folder} does not say which suite it is of. Name it with --suite.")
    text = component.build().export(entries_in(folder, named.file.ranking.defenses), named.title)
    if out is None:
        click.echo(text, nl=False)
    else:
        atomic_write_text(out, text)
        click.echo(out)


@click.command("plot")
@click.argument("folder", type=OUT_FOLDER)
@click.option("--by", metavar="AXIS", default="defense", show_default=True, help="Column along the axis.")
@click.option(
    "--measure", metavar="COLUMN", default="test_accuracy", show_default=True, help="Column to draw: mean and interval."
)
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows with this value; repeated for one column, with any of the values.",
)
@click.option("--title", help="Default: the title of the folder's suite.")
@click.option("--out", type=OUT_FILE, help="PNG, SVG or PDF; default: FOLDER/AXIS.png.")
@verbosity
def plot_command(
    folder: Path, by: str, measure: str, where: tuple[str, ...], title: str | None, out: Path | None
) -> None:
    """Draw the rows of the leaderboard in FOLDER: one measure along one axis, one mark per other combination.

    Example: `ucbench leaderboard plot FOLDER --by labeling --measure gap_removed`. Needs the extra `plot`.
    """
    from ucbench.leaderboard.plots import plot, selected
    from ucbench.results.records import records_in
    from ucbench.results.table import rows

    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {str(folder)!r}.")
    table = selected(rows(records_in(folder)), where)
    if title is None:
        suite = suite_of(folder, None)
        title = suite.title if suite else folder.name
    target = out or folder / f"{by}.png"
    plot(table, target, by=by, measure=measure, title=title)
    click.echo(target)


@click.command("site")
@click.argument("names", nargs=-1, required=True, metavar="[SUITE] FOLDER")
@click.option("--out", type=OUT_FOLDER, help="Folder of the site; default: FOLDER/site.")
@verbosity
def site_command(names: tuple[str, ...], out: Path | None) -> None:
    """Write the leaderboard in FOLDER as static pages: tables, charts and one page per cell.

    They need no server: open index.html. SUITE names the defenses of the worst case; if neither the command nor the
    folder names a suite, nothing is ranked.
    """
    from ucbench.leaderboard.site import build_site

    if len(names) > 2:
        raise click.UsageError(f"Give SUITE and FOLDER, or only FOLDER; got {len(names)} arguments.")
    folder = Path(names[-1])
    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {str(folder)!r}.")
    target = folder / "site" if out is None else out
    suite = suite_of(folder, names[0] if len(names) == 2 else None)
    if suite is None:
        count = build_site(folder, target)
    else:
        count = build_site(folder, target, title=suite.title, ranked=suite.file.ranking.defenses)
    click.echo(f"{target / 'index.html'} and {count - 1} more files")


@click.command("tiers")
@click.argument("folder", type=FOLDER)
@verbosity
def tiers_command(folder: Path) -> None:
    """Print, as Markdown, the worst case of every poisoner in FOLDER within each tier of defenses.

    T0: augmentation; T1: squeezing; T2: adversarial training; T3: removal with the release alone; T4: external data or
    weights. A pipeline has the highest tier of its parts. Oracles are left out.
    """
    from ucbench import api
    from ucbench.leaderboard.tiers import by_tier, to_markdown
    from ucbench.matrix.compatibility import is_oracle
    from ucbench.plugins.grammar import parse_chain
    from ucbench.results.records import records_in
    from ucbench.results.table import rows

    registry = api.open_session().registry

    def tier_of(defense: str) -> str:
        return max(getattr(registry.find("defense", part.name), "tier", "T0") for part in parse_chain(defense))

    table = rows(records_in(folder))
    oracle = table["defense"].map(lambda defense: is_oracle(defense, registry))
    click.echo(to_markdown(by_tier(table[~oracle], tier_of)), nl=False)
