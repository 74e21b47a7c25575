"""``ucbench leaderboard``: tables, charts and pages from the records of a suite."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ucbench.cli.completion import components, of, record_folders
from ucbench.cli.lazy import OUTPUT, lazy
from ucbench.cli.options import FOLDER, BoardFolder, BoardSuite, SuiteName, argument, flag, option, with_layout
from ucbench.cli.output import TableLayout, print_notes, print_table
from ucbench.errors import DataError, visible
from ucbench.results.columns import PLOT_AXES, PLOTTED
from ucbench.results.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from ucbench.matrix.suite import Suite
    from ucbench.results.gate import Gate

_log = logging.getLogger(__name__)

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
    "victims": "leaderboard_victims",
}
MAKE, SHOW = "Records and tables", "Show and publish"


app = typer.Typer(
    name="leaderboard",
    cls=lazy(COMMANDS),
    no_args_is_help=True,
    rich_help_panel="Results",
    help="Build leaderboards from records; check, compare and publish them.",
)


def suite_of(folder: Path, name: str | None) -> Suite | None:
    """The suite of that name; else the folder's copy; else the known suite whose title heads the folder's table.

    None if there is none.

    Raises:
        UsageError: if there is no suite of this name, or its file is invalid.
    """
    from ucbench.errors import UcbenchError
    from ucbench.matrix import requests
    from ucbench.matrix.suite import load_suite, suite_in

    if name is not None:
        return requests.suite(name)
    if (copy := suite_in(folder)) is not None:
        return copy
    heading = _heading(folder / "README.md")
    for path in requests.suites()[0].values():
        try:
            suite = load_suite(path)
        except UcbenchError:
            continue  # no table was built from a broken suite
        if heading == f"# {suite.title}":
            return suite
    return None


def judged_rows(folder: Path) -> tuple[pd.DataFrame, list[Gate], Suite | None]:
    """The rows of a leaderboard, the gates of their settings, and its suite as of :func:`suite_of`.

    Raises:
        DataError: if there are no records, or one cannot be read.
    """
    from ucbench.leaderboard.board import judged_in
    from ucbench.leaderboard.gates import RULES

    suite = suite_of(folder, None)
    _, table, gates = judged_in(folder, suite.file.gate if suite else RULES)
    return table, gates, suite


def _heading(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""


@app.command("build", no_args_is_help=True, rich_help_panel=MAKE)
def build_command(
    suite: SuiteName,
    out: Annotated[Path, option("FOLDER", "The leaderboard's folder.", complete=record_folders, file_okay=False)],
    records: Annotated[
        list[Path] | None,
        option("FOLDER", "A run's --out, with records/. Repeatable: several are merged.", default="that of --out",
               complete=record_folders, exists=True, file_okay=False),
    ] = None,
) -> None:  # fmt: skip
    """Write results.csv, leaderboard.csv and README.md, a table to read, from the records of SUITE.

    Also copies image sheets, and the suite as suite.toml. Records of other cells are left out and counted; two that
    contradict each other are refused.
    """
    from ucbench.leaderboard.gates import missing_board
    from ucbench.leaderboard.merge import merge
    from ucbench.leaderboard.tables import build
    from ucbench.matrix import requests
    from ucbench.matrix.suite import SUITE_FILE
    from ucbench.session import open_session
    from ucbench.store.files import atomic_write_bytes
    from ucbench.store.untrusted import read_regular

    loaded = requests.suite(suite)
    cells = requests.suite_cells(loaded, open_session(device="cpu", threads=loaded.file.threads).registry)
    merged = merge(out, records or [], cells)
    typer.echo(merged.text, err=True)
    if not merged.done + merged.failed:
        sources = ", ".join(map(str, records or [out]))
        raise DataError(
            f"There is nothing to build from: {sources} has no record of a cell of {loaded.file.name}. First run:"
            f" ucbench run --suite {suite} --out FOLDER"
        )
    for path in build(out, loaded.file.ranking.defenses, loaded.title, loaded.file.gate):
        typer.echo(str(path))
    atomic_write_bytes(out / SUITE_FILE, read_regular(loaded.path))
    if problem := missing_board(loaded.file.gate, out):
        _log.warning("%s", problem)


@app.command("export", no_args_is_help=True, rich_help_panel=SHOW)
def export_command(
    folder: BoardFolder,
    exporter: Annotated[
        str, option("NAME", "Format; see `ucbench list exporter`.", None, "--to", complete=components("exporter"))
    ],
    suite: BoardSuite = None,
    out: Annotated[Path | None, option("FILE", "File to write.", default="standard output", dir_okay=False)] = None,
) -> None:
    """Write the table of the leaderboard in FOLDER as markdown, latex, html, csv or a format of a plugin.

    The table follows from the records, as in `ucbench leaderboard build`.
    """
    from ucbench.errors import UsageError
    from ucbench.leaderboard.board import judged_in
    from ucbench.session import open_session
    from ucbench.store.files import atomic_write_text

    component = open_session().registry.resolve("exporter", exporter)
    named = suite_of(folder, suite)
    if named is None:
        raise UsageError(f"{folder} does not say which suite it is of. Name it with --suite.")
    leaderboard = judged_in(folder, named.file.gate).leaderboard(named.file.ranking.defenses)
    text = component.build().export(leaderboard, named.title)
    if out is None:
        typer.echo(text, nl=False)
    else:
        atomic_write_text(out, text)
        typer.echo(out)


@app.command("plot", no_args_is_help=True, rich_help_panel=SHOW)
def plot_command(
    folder: Annotated[Path, argument("FOLDER", "A leaderboard's folder, with records/.", record_folders)],
    by: Annotated[str, option("AXIS", "Column along the axis.", complete=of(*PLOT_AXES))] = "defense",
    measure: Annotated[
        str, option("COLUMN", "Column to draw, as mean and interval, in its unit.", complete=of(*PLOTTED))
    ] = "test_accuracy",
    where: Annotated[
        list[str] | None,
        option("COLUMN=VALUE", "Only rows with this value; repeated for one column, with any of the values.",
               default="all rows"),
    ] = None,
    title: Annotated[str | None, option("TEXT", "Title of the chart.", default="that of the folder's suite")] = None,
    out: Annotated[
        Path | None, option("FILE", "PNG, SVG or PDF file to write.", default="FOLDER/AXIS.png", dir_okay=False)
    ] = None,
) -> None:  # fmt: skip
    """Draw the rows of the leaderboard in FOLDER: one measure along one axis, one mark per other combination.

    Needs the extra `plot`. Effects, such as the gap removed, are drawn for settings that passed the gate.

        ucbench leaderboard plot FOLDER --by labeling --measure gap_removed
    """
    from ucbench.errors import UsageError
    from ucbench.leaderboard.plots import plot, selected, stated

    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r}.")
    everything, verdicts, suite = judged_rows(folder)
    table = stated(selected(everything, where or []), measure, verdicts)
    if title is None:
        title = suite.title if suite else folder.name
    target = out or folder / f"{by}.png"
    plot(table, target, by=by, measure=measure, title=title)
    typer.echo(target)


@app.command("site", no_args_is_help=True, rich_help_panel=SHOW)
def site_command(
    folder: Annotated[
        Path, argument("FOLDER", "A board with records/, or a folder of boards.", record_folders, **FOLDER)
    ],
    suite: BoardSuite = None,
    out: Annotated[
        Path | None, option("FOLDER", "Folder of the site.", default="FOLDER/site", file_okay=False)
    ] = None,
    title: Annotated[str, option("TEXT", "Heading of the site.")] = "Unlearnable examples: leaderboards",
) -> None:  # fmt: skip
    """Write the boards in FOLDER as one static site: pages for boards, methods and cells.

    It needs no server: open index.html. Boards are found up to three levels down. A board's suite names the defenses of
    the worst case; boards without one are not ranked.

        ucbench leaderboard site leaderboards --out public
    """
    from ucbench.leaderboard.site import BoardRules, build_site

    def rules_of(board: Path) -> BoardRules | None:
        known = suite_of(board, suite)
        return BoardRules(known.title, known.file.ranking.defenses, known.file.gate) if known else None

    target = folder / "site" if out is None else out
    built = build_site(folder, target, rules_of=rules_of, title=title)
    for path, why in built.left_out.items():
        typer.echo(visible(f"Left out {path}: {why}"), err=True)
    typer.echo(f"{target / 'index.html'} and {built.files - 1} more files, of {counted(built.boards, 'board')}")


@app.command("tiers", no_args_is_help=True, rich_help_panel=SHOW)
@with_layout
def tiers_command(
    folder: BoardFolder,
    layout: TableLayout,
    markdown: Annotated[bool, flag("--markdown", "Print Markdown.", OUTPUT)] = False,
) -> None:
    """Print the worst case of every poisoner in FOLDER within each tier of defenses.

    T0: augmentation; T1: squeezing; T2: adversarial training; T3: removal with the release, judged by trusted images
    at most; T4: external data or weights, or a diffusion model. A pipeline has the highest tier of its parts.
    Defenses that see more than exploiters do are left out. The verdict of the gate stands above each table.
    """
    from ucbench.leaderboard.layout import setting_heading
    from ucbench.leaderboard.tiers import Best, by_tier, to_columns, to_markdown
    from ucbench.matrix.compatibility import is_unrankable
    from ucbench.plugins.grammar import parse_chain
    from ucbench.results.statistics import BOTH
    from ucbench.session import open_session

    registry = open_session().registry

    def tier_of(defense: str) -> str:
        return max(getattr(registry.find("defense", part.name), "tier", "T0") for part in parse_chain(defense))

    table, verdicts, _ = judged_rows(folder)
    unrankable = table["defense"].map(lambda defense: is_unrankable(defense, registry))
    tables = by_tier(table[~unrankable], tier_of, verdicts)
    if markdown:
        typer.echo(to_markdown(tables), nl=False)
        return
    for place, one in enumerate(tables):
        if place:
            typer.echo()
        print_notes(f"{setting_heading(one.setting)}:", one.verdict)
        print_table(to_columns(one), layout)
    bests = (best for one in tables for _, tiers in one.lines for best in tiers.values())
    means = [best.accuracy for best in bests if isinstance(best, Best)]
    half = " ± half-width of the 95 % t interval" if any(mean.is_shown for mean in means) else ""
    print_notes(
        f"\nMean of the best defense of a tier{half}, in percent."
        + (f" {BOTH}" if any(mean.n == 2 for mean in means) else "")
        + " Incomplete: no defense of the tier has all crafts; how many one has."
    )
