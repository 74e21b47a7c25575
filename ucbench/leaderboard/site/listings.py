"""The tables of a board: its poisoners, means over seeds, cells, and the heat map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ucbench.leaderboard.entries import Block, Entry
from ucbench.leaderboard.layout import not_run
from ucbench.leaderboard.site.addresses import cell_page, cells_page
from ucbench.leaderboard.site.charts import fill
from ucbench.leaderboard.site.data import FAILED, ORACLE, REFERENCE, Board, Group, Setting
from ucbench.leaderboard.site.table import (
    AXIS_COLUMN,
    AXIS_COLUMNS,
    Table,
    TableColumn,
    TableField,
    TableRow,
    compact,
    fixed,
    number,
    single,
)
from ucbench.matrix.names import poisoner_text
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.columns import AVERAGED, BOARD, ENTRY, column, values_of
from ucbench.results.statistics import ENOUGH_CRAFTS, Interval, Nested

#: Columns of the list of cells, a selection since space is limited.
_OF_A_CELL = ("test_accuracy", "gap_removed", "drop", "drop_sham", "train_accuracy", "craft_seconds", "seconds")

#: Columns of the table of poisoners that readers may add: means over seeds without defense.
_OPTIONAL = ("train_accuracy", "guess_accuracy", "purity", "psnr", "craft_seconds", "seconds")

#: Axes of a block.
WHERE = ("dataset", "budget", "victim", "labeling", "mixture", "trusted", "label_access")
BADGES = {REFERENCE: "reference", ORACLE: "oracle", FAILED: "failed"}


def board_table(board: Board, name: str) -> Table:
    """One row per poisoner and setting, and the references of each setting."""
    lines: list[tuple[dict[str, TableField], str]] = []
    for setting in board.settings:
        # One poisoner may be a reference with several surrogates or craft labels.
        references: dict[tuple[str, ...], tuple[dict[str, TableField], str]] = {}
        for block in setting.blocks:
            for entry in _ordered(block, setting, board.ranked):
                fields, kind = _entry_row(entry, setting, block)
                if kind:
                    # They stand beside poisoners of any label access.
                    references[_known_as(fields)] = ({**fields, "label_access": TableField("")}, kind)
                else:
                    lines.append((fields, kind))
            for group in setting.references(block):
                row = _reference_row(group, setting)
                references.setdefault(_known_as(row[0]), row)
        lines += references.values()
    keys = _board_columns(board.ranked)
    if not any(fields["deviations"].text for fields, _ in lines):
        keys.remove("deviations")
    rows = tuple(TableRow(tuple(fields.get(key, TableField("")) for key in keys), kind) for fields, kind in lines)
    return compact(Table(name, "All poisoners", tuple(_BOARD[key] for key in keys), rows))


def _ordered(block: Block, setting: Setting, ranked: Sequence[str] | None) -> list[Entry]:
    """The entries by rank; without ranking, by accuracy without defense, with references last."""
    if ranked is not None:
        return list(block.entries)

    def place(entry: Entry) -> tuple[Any, ...]:
        group, mean = setting.undefended.get(entry), entry.undefended.interval.mean
        name = str(values_of(entry.values, ENTRY))
        return (bool(group and group.kind), math.isnan(mean), 0.0 if math.isnan(mean) else mean, name)

    return sorted(block.entries, key=place)


_HEADING = {described.name: described.heading for described in BOARD}
#: Columns of an entry that the site shows, beside the poisoner with its preset.
_KNOWLEDGE = tuple(key for key in ENTRY if key in AXIS_COLUMN and key != "poisoner")
_BOARD = {
    head.key: head
    for head in (
        TableColumn("rank", _HEADING["rank"], numeric=True),
        AXIS_COLUMN["poisoner"],
        TableColumn("worst", _HEADING["worst"], numeric=True),
        TableColumn("worst_defense", _HEADING["worst_defense"]),
        TableColumn("effect", _HEADING["effect"], numeric=True),
        TableColumn("no_defense", _HEADING["no_defense"], numeric=True),
        TableColumn("gap_removed", "gap removed, no defense %", numeric=True),
        TableColumn("seeds", _HEADING["seeds"], numeric=True),
        TableColumn("gate", "gate", filtered=True, constant=True),
        # Last, since a narrow screen shows only the first columns.
        *(AXIS_COLUMN[key] for key in _KNOWLEDGE),
        *(AXIS_COLUMN[key] for key in WHERE),
        TableColumn("bias", _HEADING["worst_bias"], numeric=True, optional=True),
        TableColumn("mean", _HEADING["mean_over_defenses"], numeric=True, optional=True),
        TableColumn("trainings", _HEADING["trainings"], constant=True, optional=True),
        TableColumn("deviations", "SD, no defense", optional=True),
        *(TableColumn(m.name, m.heading, numeric=True, optional=True) for m in map(column, _OPTIONAL)),
    )
}


def _known_as(fields: Mapping[str, TableField]) -> tuple[str, ...]:
    """What distinguishes a reference within its setting: the poisoner and its knowledge."""
    return tuple(fields[key].text for key in ("poisoner", *_KNOWLEDGE))


def _board_columns(ranked: Sequence[str] | None) -> list[str]:
    """The keys of the table's columns, without those that would repeat another."""
    if ranked is None:
        absent = {"rank", "effect", "worst", "bias", "worst_defense", "mean"}
    elif list(ranked) == [NO_DEFENSE]:
        absent = {"worst", "bias", "worst_defense", "mean", "gap_removed"}
    else:
        absent = {"gap_removed", "bias", "worst_defense", "mean"} if len(ranked) == 1 else {"gap_removed"}
    return [key for key in _BOARD if key not in absent]


def _entry_row(entry: Entry, setting: Setting, block: Block) -> tuple[dict[str, TableField], str]:
    values, access = entry.values, str(block.values["label_access"])
    group = setting.undefended.get(entry)
    kind = group.kind if group else ""
    knowledge = {key: str(values[key]) for key in _KNOWLEDGE}
    axes = {**setting.axes, "label_access": access, "poisoner": poisoner_text(values), **knowledge}
    return {
        **_where(setting, access),
        "rank": _place(entry.rank, kind),
        "poisoner": _name(axes),
        **{key: TableField(text) for key, text in knowledge.items()},
        "effect": _with_bar(entry.effect),
        "worst": TableField(not_run(entry)) if entry.missing else number(entry.worst, 1),
        "bias": single(entry.bias, 1),
        "worst_defense": TableField(entry.defense),
        "mean": TableField("")
        if entry.mean is None
        else TableField(fixed(entry.mean, 1), round(entry.mean, 6), entry.seeds),
        "no_defense": number(entry.undefended.interval, 1),
        "seeds": seeds_field(entry.seeds),
        **_spread(entry.undefended),
        **(_means(group) if group else {}),
    }, kind


def _reference_row(group: Group, setting: Setting) -> tuple[dict[str, TableField], str]:
    return {
        **_where(setting, ""),
        "rank": _place("", group.kind),
        "poisoner": _name(group.axes),
        **{key: TableField(group.axes[key]) for key in _KNOWLEDGE},
        "no_defense": number(group.summary.means["test_accuracy"], 1),
        "seeds": seeds_field(group.summary.means["test_accuracy"].n),
        **_spread(group.summary.accuracy),
        **_means(group),
    }, group.kind


def _where(setting: Setting, access: str) -> dict[str, TableField]:
    texts = {**setting.axes, "label_access": access, "gate": setting.judgement.state}
    return {key: TableField(texts[key]) for key in (*WHERE, "gate")}


def _means(group: Group) -> dict[str, TableField]:
    means = group.means
    described = [column(name) for name in ("gap_removed", *_OPTIONAL)]
    return {one.name: number(means[one.name], one.shown, one.factor) for one in described}


def _name(axes: Mapping[str, str]) -> TableField:
    """The poisoner, with a link to its cells."""
    return TableField(axes["poisoner"], href=cells_page(axes))


def _place(rank: str, kind: str) -> TableField:
    if rank:
        return TableField(rank, float(rank.partition("-")[0]))
    return TableField("", badges=_kind_badge(kind) or ("not ranked",))


def _spread(accuracy: Nested) -> dict[str, TableField]:
    # "3.3 trainings" would read as a count.
    deviations = {"over crafts": accuracy.craft_sd, "over trainings": accuracy.training_sd}
    text = ", ".join(f"{value:.1f} {what}" for what, value in deviations.items() if not math.isnan(value))
    return {"trainings": TableField(accuracy.trainings_text.replace("-", " to ")), "deviations": TableField(text)}


def _kind_badge(kind: str) -> tuple[str, ...]:
    return (BADGES[kind],) if kind else ()


def seeds_field(count: int, failed: int = 0) -> TableField:
    """A number of crafts, marked where they are few or cells failed."""
    badges = [*(["exploratory"] if count < ENOUGH_CRAFTS else []), *([f"{failed} failed"] if failed else [])]
    return TableField(str(count), float(count), badges=tuple(badges))


def _with_bar(effect: Interval | None) -> TableField:
    """The effect in percent, with its interval as a bar from none to all of the gap."""
    shown = number(effect, 0, 100)
    if effect is None or shown.value is None:
        return shown
    half = effect.drawn_half
    low, mid, high = (
        round(min(max(value, 0.0), 1.0), 4) for value in (effect.mean - half, effect.mean, effect.mean + half)
    )
    return TableField(shown.text, shown.value, shown.n, bar=(low, mid, high))


def means_table(groups: Sequence[Group], name: str, caption: str) -> Table:
    """One row per group, with means over seeds."""
    means = [group.means for group in groups]
    shown = [column(name) for name in means[0] if any(one[name].n for one in means)] if means else []
    heads = (
        *AXIS_COLUMNS,
        *(TableColumn(measure.name, measure.heading, numeric=True) for measure in shown),
        _BOARD["seeds"],
    )
    lines = [
        TableRow(
            (
                *_axis_fields(group, AXIS_COLUMNS, group.cells_page, f"with defense {group.axes['defense']}"),
                *(number(mean[m.name], m.shown, m.factor) for m in shown),
                seeds_field(mean["test_accuracy"].n, group.summary.failed),
            ),
            group.kind or (FAILED if not group.summary.done else ""),
        )
        for group, mean in zip(groups, means, strict=True)
    ]
    return compact(Table(name, caption, heads, tuple(lines)))


def _axis_fields(group: Group, columns: Iterable[TableColumn], href: str, hidden: str) -> list[TableField]:
    """The group's values along the axes of these columns; its poisoner links to ``href``."""
    poisoner = TableField(group.axes["poisoner"], href=href, hidden=hidden, badges=_kind_badge(group.kind))
    return [poisoner if one.key == "poisoner" else TableField(group.axes[one.key]) for one in columns]


def cells_table(board: Board, name: str) -> Table:
    """One row per cell, with a link to its page."""
    measures = [m for m in AVERAGED if m.name in _OF_A_CELL and any(group.shows(m.name) for group in board.groups)]
    heads = (
        *AXIS_COLUMNS,
        *(TableColumn(key, column(key).heading, numeric=True) for key in ("craft_seed", "train_seed")),
        *(TableColumn(measure.name, measure.heading, numeric=True) for measure in measures),
        TableColumn("status", "status", filtered=True, constant=True),
    )
    lines = []
    for row in board.rows:
        group = board.by_cell[row["cell"]]
        fields = (
            *_axis_fields(group, AXIS_COLUMNS, cell_page(row["cell"]), f"cell {row['cell'][:8]}"),
            _seed(row["craft_seed"]),
            _seed(row["train_seed"]),
            *(single(row[m.name], m.shown, m.factor) if group.shows(m.name) else TableField("") for m in measures),
            TableField(str(row["status"])),
        )
        lines.append(TableRow(fields, group.kind if row["status"] == "ok" else FAILED))
    return compact(Table(name, "Every cell: one release, one victim, one training", heads, tuple(lines)))


def _seed(seed: int | None) -> TableField:
    return TableField("none") if seed is None else TableField(str(seed), float(seed))


def heat_table(setting: Setting, name: str) -> Table | None:
    """A row per poisoner and a column per defense: the share of the gap removed, on a scale of colours.

    Defenses under which clean accuracy lost more than half of its gap to chance have no values: there is little left
    that a poisoner could remove. Without a passed gate, values are accuracies without colours, those of clean images
    among them. None where no defense was run: the table of poisoners has it all.
    """
    labels, defenses, groups = grid(setting)
    if set(defenses) <= {NO_DEFENSE}:
        return None
    heads = (
        TableColumn("label", "poisoner", header=True),
        *(TableColumn(f"defense-{place}", defense, numeric=True) for place, defense in enumerate(defenses)),
    )
    lines = [
        TableRow(
            (
                TableField(label, badges=_kind_badge(kind)),
                *(_grid_field(groups.get((label, defense)), setting, defense) for defense in defenses),
            ),
            kind,
        )
        for label, kind in labels.items()
    ]
    measure = "Gap removed" if setting.passed else "Attacker accuracy"
    return Table(name, f"{measure} in %: {setting.title}", heads, tuple(lines))


def _grid_field(group: Group | None, setting: Setting, defense: str) -> TableField:
    if group is None:
        return TableField("")
    if not group.summary.done:
        return TableField("failed")
    if not setting.passed:
        return replace(number(group.means["test_accuracy"], 1), n=None)
    if setting.spoiled(defense):
        return TableField("–", hidden="left out: clean accuracy lost more than half of its gap")
    removed = group.means["gap_removed"]
    shown = number(removed, 0, 100)
    return replace(shown, fill=fill(removed.mean)) if shown.text else shown


def grid(setting: Setting) -> tuple[dict[str, str], list[str], dict[tuple[str, str], Group]]:
    """Kinds of the setting's poisoners by label, its defenses, and the group of each pair.

    The best protected come first, without a passed gate the first by name, and references last. Clean groups define
    the gap, so they are left out with a passed gate.
    """
    groups = [group for group in setting.groups if not (group.is_clean and setting.passed)]
    by_pair = {(group.label, group.axes["defense"]): group for group in groups}
    defenses = sorted(
        {g.axes["defense"] for g in groups if not g.is_clean}, key=lambda text: (text != NO_DEFENSE, text)
    )

    def place(group: Group) -> tuple[Any, ...]:
        first = by_pair.get((group.label, defenses[0]))
        removed = first.means["gap_removed"].mean if first and setting.passed else math.nan
        return (group.kind != "", math.isnan(removed), 0.0 if math.isnan(removed) else -removed, group.label)

    return {group.label: group.kind for group in sorted(groups, key=place)}, defenses, by_pair
