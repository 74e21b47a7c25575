"""``ucbench leaderboard diff``: two leaderboards, or one and published figures, side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.completion import of, record_folders
from ucbench.cli.leaderboard import MAKE, suite_of
from ucbench.cli.options import FOLDER, AsJson, BoardSuite, argument, option
from ucbench.cli.output import print_json, print_table
from ucbench.results.columns import DIFFERENCE_AXES

if TYPE_CHECKING:
    from ucbench.leaderboard.agreement import Agreement
    from ucbench.leaderboard.compare import Comparison, Difference, Order
    from ucbench.leaderboard.published import Published
    from ucbench.results.statistics import Interval


app = typer.Typer()


@app.command("diff", no_args_is_help=True, rich_help_panel=MAKE)
def diff_command(
    one: Annotated[Path, argument("ONE", "A leaderboard's folder, with records/.", record_folders, **FOLDER)],
    other: Annotated[Path, argument("OTHER", "Another, or a CSV of published figures.", record_folders, exists=True)],
    suite: BoardSuite = None,
    across: Annotated[
        list[str] | None,
        option("AXIS", "An axis in which boards may differ, such as victim; schedule is the part of victim that"
               " --schedule changes. Repeatable.", default="none", complete=of(*DIFFERENCE_AXES)),
    ] = None,
    same: Annotated[
        list[str] | None,
        option("THEIRS=OURS", "The component of a published name: 'UC (p=10)=uc'. Repeatable.", default="equal names"),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare the leaderboard in folder ONE with OTHER: another folder, or a CSV of published figures.

    Prints rows that only one side has, the differences OTHER - ONE in points of accuracy, with 95 % intervals over the
    common seeds, and how far the orders of the poisoners agree: Kendall's tau-b with a 95 % bootstrap interval over
    seeds, and its p-value. References and oracles are not ordered.
    """
    from ucbench.errors import UsageError
    from ucbench.leaderboard.compare import compare_boards, compare_published, read_board

    ranked = [_ranked(folder, suite) if folder.is_dir() else None for folder in (one, other)]
    board = read_board(one, ranked[0])
    left_out: dict[str, int] = {}
    if other.is_dir():
        if same:
            raise UsageError("--same is for published figures; boards are matched by their own names.")
        comparison = compare_boards(board, read_board(other, ranked[1]), across or ())
    else:
        if across:
            raise UsageError("--across is for two boards; published figures are matched by base names.")
        published = _published(other, same or [])
        comparison, left_out = compare_published(board, published.figures), dict(published.left_out)
    if as_json:
        print_json(_as_json(comparison, left_out))
        return
    _print(comparison, left_out, without_worst=ranked[0] is None or (other.is_dir() and ranked[1] is None))


def _ranked(folder: Path, name: str | None) -> list[str] | None:
    suite = suite_of(folder, name)
    return None if suite is None else suite.file.ranking.defenses


def _published(path: Path, same: list[str]) -> Published:
    from ucbench import api
    from ucbench.leaderboard.published import namer, read_published

    pairs = {}
    for text in same:
        theirs, _, ours = text.rpartition("=")
        if not theirs or not ours:
            raise typer.BadParameter(f"{text!r} is not of the form THEIRS=OURS.", param_hint="--same")
        pairs[theirs] = ours
    return read_published(path, namer(api.open_session().registry, pairs))


def _print(comparison: Comparison, left_out: dict[str, int], *, without_worst: bool) -> None:
    from ucbench.leaderboard.compare import SETTING
    from ucbench.results.columns import column

    settings = [difference.setting for difference in comparison.differences]
    settings += [*comparison.only_one, *comparison.only_other]
    shared = {
        name: settings[0][place]
        for place, name in enumerate(SETTING)
        if settings and all(setting[place] == settings[0][place] for setting in settings)
    }
    if shared:
        typer.echo(f"In all rows: {'; '.join(f'{name} {column(name).text(value)}' for name, value in shared.items())}.")
    shown = [(place, name) for place, name in enumerate(SETTING) if name not in shared]
    names = [column(name).heading for _, name in shown]

    def cells(setting: tuple[Any, ...]) -> list[str]:
        return [column(name).text(setting[place]) for place, name in shown]

    if comparison.differences:
        typer.echo("\nAccuracies in percent, and OTHER - ONE in points; seeds: in ONE, in OTHER, paired.")
        header = [*names, "published in", "one", "other", "other - one", "seeds"]
        print_table(header, [[*cells(line.setting), *_numbers(line)] for line in comparison.differences])
    else:
        typer.echo("They have no row in common.")
    for title, missing in (("ONE", comparison.only_one), ("OTHER", comparison.only_other)):
        if missing:
            typer.echo(f"\nOnly in {title}: {len(missing)} row{'' if len(missing) == 1 else 's'}.")
            print_table(names, map(cells, missing))
    if figures := comparison.only_published:
        typer.echo(f"\n{len(figures)} published figures have no counterpart in ONE (--json lists them).")
    if left_out:
        typer.echo(f"Published lines left out: {'; '.join(f'{n}, {reason}' for reason, n in left_out.items())}.")
    _print_orders(comparison.orders, without_worst=without_worst)


def _print_orders(orders: tuple[Order, ...], *, without_worst: bool) -> None:
    if not orders:
        typer.echo("\nNo block has two ranked poisoners on both sides: there is no order to compare.")
        return
    from ucbench.results.statistics import ENOUGH_CRAFTS

    typer.echo("\nKendall's tau-b of the orders of poisoners; 95 % bootstrap interval over craft seeds.")
    print_table(
        ["block", "published in", "by", "poisoners", "tau-b", "95 %", "p", "fewest seeds"],
        [
            [
                _block(order.block),
                order.source,
                order.by,
                str(order.agreement.items),
                _number(order.agreement.tau, 2) or "all tied",
                _range(order.agreement.low, order.agreement.high),
                ("" if order.agreement.exact else "about ") + _number(order.agreement.p, 3),
                f"{order.agreement.seeds}{'' if order.agreement.seeds >= ENOUGH_CRAFTS or order.source else '*'}",
            ]
            for order in orders
        ],
    )
    for order in orders:
        if order.one != order.other:
            typer.echo(f"\n{_block(order.block)}, by {order.by}{f', {order.source}' if order.source else ''}:")
            typer.echo(f"  ONE:   {' < '.join(order.one)}\n  OTHER: {' < '.join(order.other)}")
            moved = (f"{label} {before} -> {after}" for label, (before, after) in order.moved.items())
            typer.echo(f"  Places that change: {', '.join(moved)}.")
        one, other = map(", ".join, order.defenses)
        if one != other:
            typer.echo(f"  Worst cases are over {one} in ONE, {other} in OTHER.")
    typer.echo(
        f"\n* some accuracy has fewer than {ENOUGH_CRAFTS} seeds: exploratory. Single figures are used as they are."
    )
    if without_worst:
        typer.echo("No order by worst case: name the suite with --suite, for its defenses.")


def _numbers(line: Difference) -> list[str]:
    paired = "" if line.source else f", {line.change.n}"
    seeds = f"{line.one.n}, {'published' if line.source else line.other.n}{paired}"
    return [line.source, line.one.text(), line.other.text(), line.change.text(sign="+"), seeds]


def _number(value: float, decimals: int) -> str:
    return "" if math.isnan(value) else f"{value:.{decimals}f}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"


def _block(block: tuple[Any, ...]) -> str:
    from ucbench.leaderboard.layout import block_heading
    from ucbench.results.columns import BLOCK

    values = dict(zip(BLOCK, block, strict=True))
    mixture = "" if values["mixture"] == 1 else f", mixture {values['mixture']:g}"
    trusted = f", {values['trusted']} trusted" if values["trusted"] else ""
    return f"{block_heading(values)}{mixture}{trusted}, label access {values['label_access']}"


def _as_json(comparison: Comparison, left_out: dict[str, int]) -> dict[str, Any]:
    from ucbench.leaderboard.compare import SETTING
    from ucbench.results.columns import BLOCK

    def setting(values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(SETTING, values, strict=True))

    return {
        "only_one": [setting(values) for values in comparison.only_one],
        "only_other": [
            *(setting(values) for values in comparison.only_other),
            *(figure._asdict() for figure in comparison.only_published),
        ],
        "differences": [
            {
                **setting(line.setting),
                "published_in": line.source or None,
                "one": _plain(line.one),
                "other": _plain(line.other),
                "other_minus_one": _plain(line.change),
            }
            for line in comparison.differences
        ],
        "orders": [
            {
                **dict(zip(BLOCK, order.block, strict=True)),
                "published_in": order.source or None,
                "by": order.by,
                "defenses_one": list(order.defenses[0]),
                "defenses_other": list(order.defenses[1]),
                "one": list(order.one),
                "other": list(order.other),
                "moved": {label: list(places) for label, places in order.moved.items()},
                **_plain(order.agreement),
            }
            for order in comparison.orders
        ],
        "left_out": left_out,
    }


def _plain(value: Interval | Agreement) -> dict[str, Any]:
    """The fields as JSON values, with null for NaN."""
    return {name: None if math.isnan(number) else number for name, number in value._asdict().items()}
