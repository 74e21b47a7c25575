"""``ucbench leaderboard diff``: two leaderboards, or one and published figures, side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ucbench.cli.completion import of, record_folders
from ucbench.cli.leaderboard import MAKE, suite_of
from ucbench.cli.options import FOLDER, AsJson, BoardSuite, argument, option, with_layout
from ucbench.cli.output import TableLayout, json_fields, print_json, print_notes, print_table
from ucbench.results.axis_columns import axis_columns
from ucbench.results.columns import DIFFERENCE_AXES
from ucbench.results.text import TextColumn, counted

if TYPE_CHECKING:
    from ucbench.leaderboard.agreement import Agreement
    from ucbench.leaderboard.compare import Comparison, Difference, Order
    from ucbench.leaderboard.published import Published


app = typer.Typer()


@app.command("diff", no_args_is_help=True, rich_help_panel=MAKE)
@with_layout
def diff_command(
    layout: TableLayout,
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
    _print(comparison, left_out, layout, without_worst=ranked[0] is None or (other.is_dir() and ranked[1] is None))


def _ranked(folder: Path, name: str | None) -> list[str] | None:
    suite = suite_of(folder, name)
    return None if suite is None else suite.file.ranking.defenses


def _published(path: Path, same: list[str]) -> Published:
    from ucbench.leaderboard.published import namer, read_published
    from ucbench.session import open_session

    pairs = {}
    for text in same:
        theirs, _, ours = text.rpartition("=")
        if not theirs or not ours:
            raise typer.BadParameter(f"{text!r} is not of the form THEIRS=OURS.", param_hint="--same")
        pairs[theirs] = ours
    return read_published(path, namer(open_session().registry, pairs))


def _print(comparison: Comparison, left_out: dict[str, int], layout: TableLayout, *, without_worst: bool) -> None:
    from ucbench.leaderboard.compare import COMPARED
    from ucbench.results.statistics import BOTH

    differences = comparison.differences
    tables = [[line.setting for line in differences], comparison.only_one, comparison.only_other]
    settings = [setting for table in tables for setting in table]
    rows = [dict(zip(COMPARED, setting, strict=True)) for setting in settings]
    axes, caption = axis_columns(rows, COMPARED)
    if caption:
        print_notes(f"In all rows: {caption}.")
    ends = list(itertools.accumulate(map(len, tables)))
    parts = [
        [replace(axis, cells=axis.cells[start:end]) for axis in axes]
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    if differences:
        print_notes("\nAccuracies in percent, and OTHER - ONE in points; seeds: in ONE, in OTHER, paired.")
        print_table([*parts[0], *_numbers(differences)], layout, "--json")
        if any(2 in (line.one.n, line.other.n, line.change.n) for line in differences):
            print_notes(BOTH)
    else:
        print_notes("They have no row in common.")
    for title, missing in (("ONE", parts[1]), ("OTHER", parts[2])):
        if count := len(missing[0].cells):
            print_notes(f"\nOnly in {title}: {counted(count, 'row')}.")
            # Columns that were asked for are those of the differences; here they may all be empty.
            print_table(missing, TableLayout(wide=layout.wide), "--json")
    if figures := comparison.only_published:
        print_notes(f"\n{len(figures)} published figures have no counterpart in ONE (--json lists them).")
    if left_out:
        print_notes(f"Published lines left out: {'; '.join(f'{n}, {reason}' for reason, n in left_out.items())}.")
    _print_orders(comparison.orders, layout, without_worst=without_worst)


def _print_orders(orders: tuple[Order, ...], layout: TableLayout, *, without_worst: bool) -> None:
    if not orders:
        print_notes("\nNo block has two ranked poisoners on both sides: there is no order to compare.")
        return
    from ucbench.results.statistics import ENOUGH_CRAFTS

    print_notes("\nKendall's tau-b of the orders of poisoners; 95 % bootstrap interval over craft seeds.")
    agreements = [order.agreement for order in orders]
    seeds = [
        f"{one.agreement.seeds}{'' if one.agreement.seeds >= ENOUGH_CRAFTS or one.source else '*'}" for one in orders
    ]
    print_table(
        [
            TextColumn("block", [_block(order.block) for order in orders]),
            TextColumn("published in", [order.source for order in orders]),
            TextColumn("by", [order.by for order in orders]),
            TextColumn("poisoners", [str(one.items) for one in agreements], "number", rank=4),
            TextColumn("tau-b", [one.tau_text for one in agreements], "number"),
            TextColumn("95 %", [one.interval_text for one in agreements], "number", rank=1),
            TextColumn("p", [_p(one) for one in agreements], "number", rank=3),
            TextColumn("fewest seeds", seeds, "number", rank=2),
        ],
        TableLayout(wide=layout.wide),
        "--json",
    )
    for order in orders:
        if order.one != order.other:
            print_notes(f"\n{_block(order.block)}, by {order.by}{f', {order.source}' if order.source else ''}:")
            print_notes(f"  ONE:   {' < '.join(order.one)}", f"  OTHER: {' < '.join(order.other)}")
            moved = (f"{label} {before} -> {after}" for label, (before, after) in order.moved.items())
            print_notes(f"  Places that change: {', '.join(moved)}.")
        one, other = map(", ".join, order.defenses)
        if one != other:
            print_notes(f"  Worst cases are over {one} in ONE, {other} in OTHER.")
    print_notes(
        f"\n* some accuracy has fewer than {ENOUGH_CRAFTS} seeds: exploratory. Single figures are used as they are."
    )
    if without_worst:
        print_notes("No order by worst case: name the suite with --suite, for its defenses.")


def _numbers(lines: Sequence[Difference]) -> list[TextColumn]:
    seeds = [f"{line.one.n}, {'published' if line.source else f'{line.other.n}, {line.change.n}'}" for line in lines]
    return [
        TextColumn("published in", [line.source for line in lines], rank=1),
        TextColumn("one", [line.one.text() for line in lines], "number", rank=2),
        TextColumn("other", [line.other.text() for line in lines], "number", rank=2),
        TextColumn("other - one", [line.change.text(sign="+") for line in lines], "number"),
        TextColumn("seeds", seeds, "number", rank=3),
    ]


def _p(agreement: Agreement) -> str:
    return ("" if agreement.exact else "about ") + ("" if math.isnan(agreement.p) else f"{agreement.p:.3f}")


def _block(block: tuple[Any, ...]) -> str:
    from ucbench.leaderboard.layout import setting_heading
    from ucbench.results.columns import BLOCK

    values = dict(zip(BLOCK, block, strict=True))
    return f"{setting_heading(values)}, label access {values['label_access']}"


def _as_json(comparison: Comparison, left_out: dict[str, int]) -> dict[str, Any]:
    from ucbench.leaderboard.compare import COMPARED
    from ucbench.results.columns import BLOCK

    def setting(values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(COMPARED, values, strict=True))

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
                "one": json_fields(line.one),
                "other": json_fields(line.other),
                "other_minus_one": json_fields(line.change),
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
                **json_fields(order.agreement),
            }
            for order in comparison.orders
        ],
        "left_out": left_out,
    }
