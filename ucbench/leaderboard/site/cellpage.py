"""The content of a cell's page: its numbers beside their means over seeds, its history, and the rest of its record."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ucbench.leaderboard.site.addresses import cell_page
from ucbench.leaderboard.site.data import Board, Group
from ucbench.leaderboard.site.table import Table, TableColumn, TableField, TableRow, fixed, number, single
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN
from ucbench.results.columns import column, values_of
from ucbench.results.records import Record
from ucbench.results.table import SAME_BUDGET, SAME_EXPLOITER, SAME_WORLD, Row

Facts = list[tuple[str, str]]

#: What another cell of the same group is to a cell.
OTHER = "another seed"

#: Numbers of a cell's page without a mean over seeds.
_SINGLE = ("balanced_accuracy", "test_accuracy_best")
#: Clean accuracy here is over the trainings that share a train seed with the row's, on boards over all.
_HEADINGS = {"clean_accuracy": "clean %, of the same train seeds"}
#: Most shown values of a list.
_LONGEST_LIST = 12


def measures_table(row: Row, group: Group) -> Table:
    """The cell's numbers, and their means over the seeds of its group."""
    means = group.means
    first, *others = means
    lines = [
        TableRow(
            (
                TableField(_HEADINGS.get(m.name, m.heading)),
                single(row[m.name], m.shown, m.factor),
                number(means.get(m.name), m.shown, m.factor),
            )
        )
        for m in map(column, (first, *_SINGLE, *others))
        if row[m.name] is not None and group.shows(m.name)
    ]
    heads = (
        TableColumn("measure", "measure", header=True),
        TableColumn("cell", "this cell (n = 1)", numeric=True),
        TableColumn("mean", "mean over its seeds", numeric=True),
    )
    return Table("measures", "What was measured", heads, tuple(lines))


def history_table(record: Record) -> Table:
    """The recorded epochs."""
    points = record.get("history", ())
    names = [name for name in ("epoch", "test_accuracy", "loss", "lr") if any(name in point for point in points)]
    titles = {"epoch": "epoch", "test_accuracy": "test accuracy %", "loss": "training loss", "lr": "learning rate"}
    lines = [TableRow(tuple(_point(name, point.get(name)) for name in names)) for point in points]
    heads = tuple(TableColumn(name, titles[name], numeric=True, header=name == "epoch") for name in names)
    return Table("history", "By epoch", heads, tuple(lines))


def _point(name: str, value: Any) -> TableField:
    shown = single(value, {"test_accuracy": 1, "loss": 4}.get(name, 0))
    # Learning rates span orders of magnitude.
    return replace(shown, text=f"{value:.3g}") if name == "lr" and shown.text else shown


class Relatives:
    """Finds the references of a cell, and the other cells of its group."""

    def __init__(self, board: Board) -> None:
        self._by_cell = board.by_cell
        self._references: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in board.rows:
            if row["poisoner"] in ADDED_REFERENCES:
                self._references[values_of(row, (*SAME_EXPLOITER, *SAME_WORLD))].append(row)

    def of(self, row: Row) -> list[tuple[str, str, str]]:
        """For each related cell, its relation, its page, and its seeds."""
        references = [
            (str(other["poisoner"]), other)
            for other in self._references[values_of(row, (*SAME_EXPLOITER, *SAME_WORLD))]
            if other["poisoner"] == CLEAN or values_of(other, SAME_BUDGET) == values_of(row, SAME_BUDGET)
        ]
        seeds = [(OTHER, other) for other in self._by_cell[row["cell"]].members]
        return [
            (relation, cell_page(other["cell"]), seeds_text(other))
            for relation, other in [*references, *seeds]
            if other["cell"] != row["cell"]
        ]


def seeds_text(row: Mapping[str, Any]) -> str:
    craft = "" if row["craft_seed"] is None else f"craft seed {row['craft_seed']}, "
    return f"{craft}train seed {row['train_seed']}"


def sections(record: Record) -> list[tuple[str, Facts]]:
    """The rest of the record, as named lists of facts; omits empty ones."""
    data, budget, request = record["data"], record.get("budget", {}), record["request"]
    requested = [("requested norm", request["norm"]), ("requested radius", request["epsilon"])]
    titled = {
        "Perturbation": [*(requested if budget else []), *_flat(budget)],
        "Crafting": _flat(record.get("crafting", {}).get("notes", {})),
        "Notes": _flat(record.get("notes", {})),
        "Cost": _flat(record.get("cost", {})),
        "Data": _flat({_FINGERPRINTS.get(name, name): value for name, value in data.items()}),
        "Numerics and environment": _flat({**record["environment"], **record["numerics"]}),
    }
    return [
        (title, [(name, value_text(value)) for name, value in facts if value is not None])
        for title, facts in titled.items()
        if facts
    ]


def warnings(record: Record) -> list[str]:
    return [str(text) for text in [*record.get("crafting", {}).get("warnings", ()), *record.get("warnings", ())]]


def components(record: Record) -> list[tuple[str, str, str]]:
    """Kind, name with version and origin, and parameters of every component."""
    rows = []
    for kind, part in sorted(record["components"].items()):
        named = f"{part['name']}, version {part['version']}"
        origin = f"{part['distribution']} {part['distribution_version']}"
        params = ", ".join(f"{name}={value_text(value)}" for name, value in sorted(part["params"].items()))
        rows.append((kind.replace("-", " "), f"{named}, of {origin}", params))
    return rows


_FINGERPRINTS = {"train": "fingerprint of training data", "test": "fingerprint of test data"}


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested mappings as one list, with names joined by spaces."""
    if not isinstance(values, Mapping):
        return [(prefix, values)]
    return [
        fact
        for name, value in sorted(values.items())
        for fact in _flat(value, f"{prefix} {name}".strip().replace("_", " "))
    ]


def value_text(value: Any) -> str:
    """A JSON value as text: numbers with four significant digits, long lists shortened."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if value == []:
        return "empty"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) and not value.is_integer() else fixed(value, 0)
    if isinstance(value, list):
        shown = ", ".join(value_text(one) for one in value[:_LONGEST_LIST])
        return shown if len(value) <= _LONGEST_LIST else f"{shown}, … ({len(value)} values)"
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def processors(records: Iterable[Record]) -> list[str]:
    """The processors or devices of the timings."""
    names = set()
    for record in records:
        machine = record["environment"]
        device = str(machine.get("device", "?"))
        names.add(str(machine.get("processor", "?")) if device == "cpu" else device)
    return sorted(names)
