"""What a cell's page says: its numbers beside those of its seeds, its history, and everything else of its record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ucbench.leaderboard.site.data import Group, Site
from ucbench.leaderboard.site.listings import cell_page
from ucbench.leaderboard.site.table import Cell, Column, Row, Table, fixed, number, plain
from ucbench.plugins.builtin import CLEAN, SHAM
from ucbench.results.columns import Column as Measure
from ucbench.results.columns import column
from ucbench.results.records import Record
from ucbench.results.statistics import Interval
from ucbench.results.table import SAME_BUDGET, SAME_EXPLOITER, SAME_WORLD
from ucbench.results.table import Row as ResultRow

Facts = list[tuple[str, str]]

#: Numbers of a cell's page that no mean is taken of.
_ALONE = ("balanced_accuracy", "test_accuracy_best")
#: A list longer than this is cut.
_LONGEST_LIST = 12


def measures_table(row: ResultRow, group: Group) -> Table:
    """The cell's numbers, and their means over the seeds of its group."""
    first, *others = group.summary.means
    lines = [
        Row((Cell(m.heading), plain(row[m.name], m.shown, m.factor), _mean(group.summary.means.get(m.name), m)))
        for m in map(column, (first, *_ALONE, *others))
        if row[m.name] is not None
    ]
    heads = (
        Column("measure", "measure", header=True),
        Column("cell", "this cell (n = 1)", numeric=True),
        Column("mean", "mean over its seeds", numeric=True),
    )
    return Table("measures", "What was measured", heads, tuple(lines))


def _mean(interval: Interval | None, measure: Measure) -> Cell:
    return number(interval, measure.shown, measure.factor)


def history_table(record: Record) -> Table:
    """The recorded epochs."""
    points = [point for point in record.get("history", ()) if isinstance(point, Mapping)]
    names = [name for name in ("epoch", "test_accuracy", "loss", "lr") if any(name in point for point in points)]
    titles = {"epoch": "epoch", "test_accuracy": "test accuracy %", "loss": "training loss", "lr": "learning rate"}
    lines = [Row(tuple(_point(name, point.get(name)) for name in names)) for point in points]
    heads = tuple(Column(name, titles[name], numeric=True, header=name == "epoch") for name in names)
    return Table("history", "By epoch", heads, tuple(lines))


def _point(name: str, value: Any) -> Cell:
    cell = plain(value, {"test_accuracy": 1, "loss": 4}.get(name, 0))
    # Learning rates fall by orders of magnitude.
    return replace(cell, text=f"{value:.3g}") if name == "lr" and cell.text else cell


class Relatives:
    """Finds the cells to look at beside one: its references, and those of the same group."""

    def __init__(self, site: Site) -> None:
        self._by_cell = site.by_cell
        self._references: dict[tuple[Any, ...], list[ResultRow]] = {}
        for row in site.rows:
            if row["poisoner"] in (CLEAN, SHAM):
                self._references.setdefault(_values(row, (*SAME_EXPLOITER, *SAME_WORLD)), []).append(row)

    def of(self, row: ResultRow) -> list[tuple[str, str, str]]:
        """What each is, its page, and its seeds."""
        references = [
            (str(other["poisoner"]), other)
            for other in self._references.get(_values(row, (*SAME_EXPLOITER, *SAME_WORLD)), ())
            if other["poisoner"] == CLEAN or _values(other, SAME_BUDGET) == _values(row, SAME_BUDGET)
        ]
        seeds = [("other seeds", other) for other in self._by_cell[row["cell"]].members]
        return [
            (what, cell_page(other["cell"]), seeds_text(other))
            for what, other in [*references, *seeds]
            if other["cell"] != row["cell"]
        ]


def _values(row: ResultRow, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def seeds_text(row: Mapping[str, Any]) -> str:
    craft = "" if row["craft_seed"] is None else f"craft seed {row['craft_seed']}, "
    return f"{craft}train seed {row['train_seed']}"


def sections(record: Record) -> list[tuple[str, Facts]]:
    """The rest of the record, in named lists of facts; empty ones left out."""
    data, budget, request = record["data"], record.get("budget", {}), record["request"]
    promised = [("promised norm", request["norm"]), ("promised radius", request["epsilon"])]
    found = {
        "Perturbation": [*(promised if budget else []), *_flat(budget)],
        "Crafting": _flat(record.get("crafting", {}).get("notes", {})),
        "Notes": _flat(record.get("notes", {})),
        "Cost": _flat(record.get("cost", {})),
        "Data": _flat({_FINGERPRINTS.get(name, name): value for name, value in data.items()}),
        "Arithmetic and environment": _flat({**record.get("environment", {}), **record["numerics"]}),
    }
    return [
        (title, [(name, value_text(value)) for name, value in facts if value is not None])
        for title, facts in found.items()
        if facts
    ]


def warnings(record: Record) -> list[str]:
    return [str(text) for text in [*record.get("crafting", {}).get("warnings", ()), *record.get("warnings", ())]]


def components(record: Record) -> list[tuple[str, str, str]]:
    """Kind, name with version and origin, and parameters of every component."""
    found = []
    for kind, part in sorted(record.get("components", {}).items()):
        origin = f"{part.get('distribution', '?')} {part.get('distribution_version', '?')}"
        params = ", ".join(f"{name}={value_text(value)}" for name, value in sorted(part.get("params", {}).items()))
        found.append(
            (kind.replace("-", " "), f"{part.get('name')}, version {part.get('version')}, of {origin}", params)
        )
    return found


_FINGERPRINTS = {"train": "fingerprint of training data", "test": "fingerprint of test data"}


def _flat(values: Any, above: str = "") -> list[tuple[str, Any]]:
    """Nested mappings as one list, names joined by spaces."""
    if not isinstance(values, Mapping):
        return [(above, values)]
    found: list[tuple[str, Any]] = []
    for name, value in sorted(values.items()):
        found += _flat(value, f"{above} {name}".strip().replace("_", " "))
    return found


def value_text(value: Any) -> str:
    """A JSON value to read: numbers with four significant digits, long lists cut."""
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
    """The machines that the seconds were measured on."""
    found = set()
    for record in records:
        machine = record.get("environment", {})
        device = str(machine.get("device", "?"))
        found.add(str(machine.get("processor", "?")) if device == "cpu" else device)
    return sorted(found)
