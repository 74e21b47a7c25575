"""The site's files: which there are, and how each is made."""

from __future__ import annotations

import functools
import importlib
import json
import struct
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ucbench.errors import DataError
from ucbench.leaderboard.entries import ENOUGH_SEEDS, entries
from ucbench.leaderboard.layout import MEANINGS
from ucbench.leaderboard.site import cellpage, charts, listings
from ucbench.leaderboard.site.data import Setting, Site
from ucbench.leaderboard.site.rerun import Companions, rerun
from ucbench.leaderboard.site.table import AXES, Table, filters
from ucbench.leaderboard.tables import to_leaderboard_csv
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.gate import Gate
from ucbench.results.records import Record, to_json
from ucbench.results.table import Row, to_csv

Content = Callable[[], bytes]

#: Rows of a long table that are shown at once, and that a page has without JavaScript; a shorter one is there whole.
FIRST_ROWS, WHOLE_BELOW = 100, 200
_ASSETS = ("site.css", "tables.js", "charts.js")
_PNG = b"\x89PNG\r\n\x1a\n"


def files(site: Site, sheets: Path) -> dict[str, Content]:
    """The files of the site by path, each with what makes it.

    Args:
        sheets: the folder of the releases' picture sheets; it may be missing.
    """
    renderer = _Renderer(site, sheets)
    made: dict[str, Content] = {
        "index.html": renderer.index,
        "results.html": renderer.results,
        "cells.html": renderer.cells,
        "results.csv": lambda: to_csv(site.table).encode(),
        "assets/plotly.min.js": _plotly,
        **{f"assets/{name}": functools.partial(_asset, name) for name in _ASSETS},
    }
    if site.ranked is not None:
        made["leaderboard.csv"] = renderer.leaderboard_csv
    for setting in site.settings:
        made[f"settings/{setting.slug}.html"] = functools.partial(renderer.setting, setting)
    for row in site.rows:
        made[listings.cell_page(row["cell"])] = functools.partial(renderer.cell, row)
        made[f"records/{row['cell']}.json"] = functools.partial(_record, site.records[row["cell"]])
    for name, path in renderer.sheets.items():
        made[f"sheets/{name}"] = path.read_bytes
    return made


class _Renderer:
    """Pages of one site."""

    def __init__(self, site: Site, sheets: Path) -> None:
        self.site = site
        self._companions = Companions(site.records.values())
        self._relatives = cellpage.Relatives(site)
        # Clean cells belong to several settings, and link to none.
        self._setting_of = {
            row["cell"]: setting
            for setting in site.settings
            for group in setting.groups
            for row in group.members
            if not group.is_clean
        }
        self._sheet_of = _sheets(site.records.values(), sheets)
        self.sheets = {path.name: path for path in self._sheet_of.values()}
        self._templates = Environment(
            loader=PackageLoader("ucbench.leaderboard.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"first_rows": FIRST_ROWS, "is_long": _is_long, "embedded": embedded}

    def index(self) -> bytes:
        site = self.site
        shown, number = [], 0
        for setting in site.settings:
            tables = []
            for board in setting.boards:
                number += 1
                tables.append(listings.board_table(setting, board, f"board-{number}", site.ranked))
            shown.append((setting, tables, [_gate_text(gate) for gate in setting.gates]))
        tables = [table for _, tables, _ in shown for table in tables]
        return self._page(
            "index.html.j2",
            settings=shown,
            filters=filters(tables, AXES),
            failed=[row for row in site.rows if row["status"] != "ok"],
            enough=ENOUGH_SEEDS,
            meanings=MEANINGS,
        )

    def setting(self, setting: Setting) -> bytes:
        boards = [
            listings.board_table(setting, board, f"board-{place}", self.site.ranked)
            for place, board in enumerate(setting.boards, 1)
        ]
        means = listings.means_table(setting.groups, "means", "Means over seeds, all defenses", setting.axes)
        return self._page(
            "setting.html.j2",
            "../",
            setting=setting,
            boards=boards,
            gates=[_gate_text(gate) for gate in setting.gates],
            heat=listings.heat_table(setting, "heat"),
            means=means,
            filters=filters([means], AXES),
            figures={
                "accuracies": _accuracies(setting, self.site.ranked),
                "heat": charts.heat_map(setting),
                "craft": charts.cost(
                    setting, "craft_seconds", "seconds to craft the release (log scale)", labelled=True
                ),
                "train": charts.cost(
                    setting, "seconds", "seconds to defend, train and measure (log scale)", labelled=False
                ),
            },
            processors=cellpage.processors(
                self.site.records[row["cell"]] for group in setting.groups for row in group.members
            ),
        )

    def results(self) -> bytes:
        table = listings.means_table(self.site.groups, "results", "Means over seeds: a row a setting of all axes", {})
        return self._page("results.html.j2", table=table, filters=filters([table], AXES))

    def cells(self) -> bytes:
        table = listings.cells_table(self.site, "cells")
        return self._page("cells.html.j2", table=table, filters=filters([table], [*AXES, *table.columns[-1:]]))

    def cell(self, row: Row) -> bytes:
        record, group = self.site.records[row["cell"]], self.site.by_cell[row["cell"]]
        sheet = self._sheet_of.get(row["cell"])
        return self._page(
            "cell.html.j2",
            "../",
            record=record,
            group=group,
            axes=[(column.title, group.axes[column.key]) for column in AXES],
            setting=self._setting_of.get(row["cell"]),
            seeds=cellpage.seeds_text(row),
            measures=cellpage.measures_table(row, group),
            history=cellpage.history_table(record),
            figure=charts.history(record.get("history", ())),
            relatives=self._relatives.of(row),
            sections=cellpage.sections(record),
            components=cellpage.components(record),
            warnings=cellpage.warnings(record),
            command=rerun(record, self._companions),
            sheet=None if sheet is None else (sheet.name, *_size(sheet)),
            enough=ENOUGH_SEEDS,
        )

    def leaderboard_csv(self) -> bytes:
        return to_leaderboard_csv(entries(self.site.table, self.site.ranked or ())).encode()

    def _page(self, template: str, root: str = "", **values: Any) -> bytes:
        return (
            self._templates.get_template(template)
            .render(site=self.site, root=root, page=template.removesuffix(".j2"), **values)
            .encode()
        )


def embedded(value: Any) -> Markup:
    """JSON that can stand within a ``<script>`` element: nothing in it ends the element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _is_long(table: Table) -> bool:
    return len(table.rows) > WHOLE_BELOW


def _gate_text(gate: Gate) -> tuple[str, bool, str]:
    """Whom a verdict is of, whether the gate was passed, and the verdict with its checks."""
    return str(gate.shared["poisoner"]), gate.passed, gate.text


def _accuracies(setting: Setting, ranked: tuple[str, ...] | None) -> charts.Figure | None:
    """What is left without defense and, where there is one, in the worst case; clean accuracy and chance as lines."""
    undefended = [group for group in setting.groups if group.axes["defense"] == NO_DEFENSE and group.summary.done]
    names = {
        (entry.name, board.access): group.label
        for board in setting.boards
        for entry in board.entries
        if (group := board.undefended.get(entry.name))
    }
    kinds = {group.label: bool(group.kind) for group in undefended}
    series = {
        "no defense": [
            charts.Dot(group.label, bool(group.kind), group.summary.means["test_accuracy"])
            for group in undefended
            if not group.is_clean
        ],
        "worst case over the ranked defenses": [
            charts.Dot(names[entry.name, board.access], kinds[names[entry.name, board.access]], entry.worst)
            for board in setting.boards
            for entry in board.entries
            if entry.worst and (entry.name, board.access) in names
        ],
    }
    if ranked == (NO_DEFENSE,):
        del series["worst case over the ranked defenses"]  # the same again
    series = {title: sorted(dots, key=lambda dot: dot.value.mean) for title, dots in series.items() if dots}
    lines = {}
    for group in undefended:
        if group.is_clean:
            lines[CLEAN] = group.summary.means["test_accuracy"].mean
        lines["chance"] = group.summary.means["chance"].mean
    return charts.accuracies(series, lines) if series else None


def _sheets(records: Iterable[Record], folder: Path) -> dict[str, Path]:
    """The picture sheet of every cell that has one, as a run's ``--out`` names them."""
    there = {path.name: path for path in sorted(folder.glob("*.png")) if path.is_file()} if folder.is_dir() else {}
    found = {}
    for record in records:
        name = f"{record.get('components', {}).get('poisoner', {}).get('name')}-{str(record.get('release'))[:12]}.png"
        if name in there and _size(there[name]) != (0, 0):
            found[str(record["cell"])] = there[name]
    return found


def _size(picture: Path) -> tuple[int, int]:
    """Width and height that a PNG file states; zeros for what is none."""
    with picture.open("rb") as file:
        head = file.read(24)
    return struct.unpack(">II", head[16:24]) if head.startswith(_PNG) and len(head) == 24 else (0, 0)


def _record(record: Record) -> bytes:
    try:
        return to_json(record).encode()
    except ValueError as error:
        raise DataError(f"The record of cell {record['cell']} holds a number that is not finite.") from error


def _asset(name: str) -> bytes:
    return (resources.files("ucbench.leaderboard.site") / "assets" / name).read_bytes()


def _plotly() -> bytes:
    # By name: plotly ships no types, and may be missing.
    offline = importlib.import_module("plotly.offline")
    text: str = offline.get_plotlyjs()
    return text.encode()
