"""The site's tables: leaderboards, means over seeds, cells, and the numbers behind the charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ucbench.leaderboard.entries import ENOUGH_SEEDS, Entry
from ucbench.leaderboard.layout import not_run, poisoner_text
from ucbench.leaderboard.site.data import FAILED, ORACLE, REFERENCE, Board, Group, Setting, Site, cells_page
from ucbench.leaderboard.site.table import AXES, Cell, Column, Row, Table, compact, fixed, number, plain
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.columns import AVERAGED, BOARD, ENTRY, column
from ucbench.results.statistics import Interval

#: Those of a list of cells, where space is short.
_OF_A_CELL = ("test_accuracy", "gap_removed", "drop", "drop_sham", "train_accuracy", "craft_seconds", "seconds")

_AXIS = {axis.key: axis for axis in AXES}
BADGES = {REFERENCE: "reference", ORACLE: "oracle", FAILED: "failed"}
EXPLORATORY = "exploratory"


def board_table(setting: Setting, board: Board, name: str, ranked: Sequence[str] | None) -> Table:
    """A block's leaderboard over the ``ranked`` defenses; without them, what there is without any."""
    kept = _board_columns(ranked)
    lines = [
        *(_entry_row(entry, setting, board, kept) for entry in _in_order(board, ranked)),
        *(_reference_row(group, kept) for group in board.references),
    ]
    shared = {**setting.axes, "label_access": board.access}
    heads = tuple(_BOARD[key] for key in kept)
    return compact(Table(name, access_text(board.access), heads, tuple(lines), shared, where=setting.title))


def _in_order(board: Board, ranked: Sequence[str] | None) -> list[Entry]:
    """As ranked; where nobody is, the lowest accuracy without defense first and references last."""
    if ranked is not None:
        return list(board.entries)

    def place(entry: Entry) -> tuple[Any, ...]:
        group, mean = board.undefended.get(entry.name), entry.undefended.mean
        return (bool(group and group.kind), math.isnan(mean), 0.0 if math.isnan(mean) else mean, str(entry.name))

    return sorted(board.entries, key=place)


_HEADING = {described.name: described.heading for described in BOARD}
_BOARD = {
    head.key: head
    for head in (
        Column("rank", _HEADING["rank"], numeric=True),
        _AXIS["poisoner"],
        Column("effect", _HEADING["effect"], numeric=True),
        Column("worst", _HEADING["worst"], numeric=True),
        Column("worst_defense", _HEADING["worst_defense"]),
        Column("mean", _HEADING["mean_over_defenses"], numeric=True),
        Column("no_defense", _HEADING["no_defense"], numeric=True),
        Column("gap_removed", "gap removed, no defense %", numeric=True),
        Column("seeds", _HEADING["seeds"], numeric=True),
        # Last, since a narrow screen shows the first columns only.
        *(_AXIS[key] for key in ENTRY if key in _AXIS and key != "poisoner"),
    )
}


def _board_columns(ranked: Sequence[str] | None) -> list[str]:
    """The keys of a leaderboard's columns; several that would say the same are one."""
    if ranked is None:
        absent = {"rank", "effect", "worst", "worst_defense", "mean"}
    elif list(ranked) == [NO_DEFENSE]:
        absent = {"worst", "worst_defense", "mean", "gap_removed"}
    else:
        absent = {"gap_removed", "worst_defense", "mean"} if len(ranked) == 1 else {"gap_removed"}
    return [key for key in _BOARD if key not in absent]


def access_text(access: str) -> str:
    return {"none": "Poisoners that saw no labels", "full": "Poisoners that saw labels"}.get(
        access, f"Label access {access}"
    )


def _entry_row(entry: Entry, setting: Setting, board: Board, kept: Sequence[str]) -> Row:
    named = entry.named
    group = board.undefended.get(entry.name)
    kind = group.kind if group else ""
    knowledge = {name: str(named[name]) for name in ("surrogate", "craft_labels")}
    axes = {**setting.axes, "label_access": board.access, "poisoner": poisoner_text(named), **knowledge}
    cells = {
        "rank": _place(entry.rank, kind),
        "poisoner": _name(axes, kind, kept),
        **{name: Cell(text) for name, text in knowledge.items()},
        "effect": _with_bar(entry.effect),
        "worst": Cell(not_run(entry)) if entry.missing else number(entry.worst, 1),
        "worst_defense": Cell(entry.defense),
        "mean": Cell("") if entry.mean is None else Cell(fixed(entry.mean, 1), round(entry.mean, 6), entry.seeds),
        "no_defense": number(entry.undefended, 1),
        "gap_removed": number(group.summary.means["gap_removed"], 0, 100) if group else Cell(""),
        "seeds": _seeds(entry.seeds),
    }
    return Row(tuple(cells[key] for key in kept), kind)


def _reference_row(group: Group, kept: Sequence[str]) -> Row:
    means = group.summary.means
    cells = {
        "rank": _place(None, group.kind),
        "poisoner": _name(group.axes, group.kind, kept),
        **{name: Cell(group.axes[name]) for name in ("surrogate", "craft_labels")},
        "no_defense": number(means["test_accuracy"], 1),
        "gap_removed": number(means["gap_removed"], 0, 100),
        "seeds": _seeds(means["test_accuracy"].n),
    }
    return Row(tuple(cells.get(key, Cell("")) for key in kept), group.kind)


def _name(axes: Mapping[str, str], kind: str, kept: Sequence[str]) -> Cell:
    """The poisoner, with a link to its cells; its kind stands here where there is no rank to stand in the place of."""
    return Cell(axes["poisoner"], href=cells_page(axes), badges=() if "rank" in kept else _kind_badge(kind))


def _place(rank: int | None, kind: str) -> Cell:
    if rank is not None:
        return Cell(str(rank), float(rank))
    return Cell("", badges=_kind_badge(kind) or ("not ranked",))


def _kind_badge(kind: str) -> tuple[str, ...]:
    return (BADGES[kind],) if kind else ()


def _seeds(count: int) -> Cell:
    return Cell(str(count), float(count), badges=(EXPLORATORY,) if count < ENOUGH_SEEDS else ())


def _with_bar(effect: Interval | None) -> Cell:
    """The effect in percent, with its interval drawn on a scale from none to all of the gap."""
    cell = number(effect, 0, 100)
    if effect is None or cell.value is None:
        return cell
    half = 0.0 if math.isnan(effect.half) else effect.half
    low, mid, high = (
        round(min(max(value, 0.0), 1.0), 4) for value in (effect.mean - half, effect.mean, effect.mean + half)
    )
    return Cell(cell.text, cell.value, cell.n, bar=(low, mid, high))


def means_table(groups: Sequence[Group], name: str, caption: str, shared: Mapping[str, str]) -> Table:
    """A row a group: means over seeds."""
    means = [group.summary.means for group in groups]
    shown = [column(name) for name in means[0] if any(one[name].n for one in means)] if means else []
    axes = [axis for axis in AXES if axis.key not in shared]
    heads = (
        *axes,
        *(Column(measure.name, measure.heading, numeric=True) for measure in shown),
        Column("seeds", _HEADING["seeds"], numeric=True),
    )
    lines = [
        Row(
            (
                *(_axis_cell(group, axis) for axis in axes),
                *(number(group.summary.means[m.name], m.shown, m.factor) for m in shown),
                _group_seeds(group),
            ),
            group.kind or (FAILED if not group.summary.done else ""),
        )
        for group in groups
    ]
    return compact(Table(name, caption, heads, tuple(lines), shared))


def _axis_cell(group: Group, axis: Column) -> Cell:
    text = group.axes[axis.key]
    if axis.key != "poisoner":
        return Cell(text)
    return Cell(
        text, href=group.cells_page, hidden=f"with defense {group.axes['defense']}", badges=_kind_badge(group.kind)
    )


def _group_seeds(group: Group) -> Cell:
    count = group.summary.means["test_accuracy"].n
    failed = (f"{group.summary.failed} failed",) if group.summary.failed else ()
    return Cell(str(count), float(count), badges=((EXPLORATORY,) if count < ENOUGH_SEEDS else ()) + failed)


def cells_table(site: Site, name: str) -> Table:
    """A row a cell, each with a link to its page."""
    measures = [measure for measure in AVERAGED if measure.name in _OF_A_CELL]
    heads = (
        *AXES,
        Column("craft_seed", "craft seed", numeric=True),
        Column("train_seed", "train seed", numeric=True),
        *(Column(measure.name, measure.heading, numeric=True) for measure in measures),
        Column("status", "status", filtered=True, constant=True),
    )
    lines = []
    for row in site.rows:
        group = site.by_cell[row["cell"]]
        failed = row["status"] != "ok"
        seeds = (_seed(row["craft_seed"]), _seed(row["train_seed"]))
        lines.append(
            Row(
                (
                    *(
                        Cell(
                            group.axes[axis.key],
                            href=cell_page(row["cell"]),
                            hidden=f"cell {row['cell'][:8]}",
                            badges=_kind_badge(group.kind),
                        )
                        if axis.key == "poisoner"
                        else Cell(group.axes[axis.key])
                        for axis in AXES
                    ),
                    *seeds,
                    *(plain(row[m.name], m.shown, m.factor) for m in measures),
                    Cell(str(row["status"])),
                ),
                FAILED if failed else group.kind,
            )
        )
    return compact(Table(name, "Every cell: one release, one victim, one training", heads, tuple(lines)))


def _seed(seed: int | None) -> Cell:
    return Cell("none") if seed is None else Cell(str(seed), float(seed))


def cell_page(cell: str) -> str:
    return f"cells/{cell}.html"


def heat_table(setting: Setting, name: str) -> Table:
    """Poisoners down, defenses across: the share of the gap that each leaves removed."""
    labels, defenses, found = grid(setting)
    heads = (
        Column("label", "poisoner", header=True),
        *(Column(f"defense-{place}", defense, numeric=True) for place, defense in enumerate(defenses)),
    )
    lines = [
        Row(
            (
                Cell(label, badges=_kind_badge(kind)),
                *(_grid_cell(found.get((label, defense))) for defense in defenses),
            ),
            kind,
        )
        for label, kind in labels.items()
    ]
    return Table(name, "Gap removed in %, by poisoner and defense", heads, tuple(lines))


def _grid_cell(group: Group | None) -> Cell:
    if group is None:
        return Cell("")
    cell = number(group.summary.means["gap_removed"], 0, 100)
    return cell if cell.text or group.summary.done else Cell("failed")


def grid(setting: Setting) -> tuple[dict[str, str], list[str], dict[tuple[str, str], Group]]:
    """Labels of the setting's poisoners with their kinds, its defenses, and the group of both; best protected first.

    References stand last. Clean groups are left out: they are what the gap is measured from.
    """
    groups = [group for group in setting.groups if not group.is_clean]
    found = {(group.label, group.axes["defense"]): group for group in groups}
    defenses = sorted({group.axes["defense"] for group in groups}, key=lambda text: (text != NO_DEFENSE, text))

    def place(group: Group) -> tuple[Any, ...]:
        first = found.get((group.label, defenses[0]))
        removed = first.summary.means["gap_removed"].mean if first else math.nan
        return (group.kind != "", math.isnan(removed), 0.0 if math.isnan(removed) else -removed, group.label)

    return {group.label: group.kind for group in sorted(groups, key=place)}, defenses, found
