"""The site's files, and the functions that render them."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ucbench.errors import DataError, visible_lines
from ucbench.leaderboard.layout import MEANINGS
from ucbench.leaderboard.site import cellpage, charts, listings
from ucbench.leaderboard.site.data import Setting, Site
from ucbench.leaderboard.site.rerun import companions, rerun
from ucbench.leaderboard.site.table import AXES, Table, filters
from ucbench.leaderboard.tables import to_leaderboard_csv
from ucbench.results.records import Record, to_json
from ucbench.results.statistics import ENOUGH_CRAFTS
from ucbench.results.table import Row, to_csv
from ucbench.store.untrusted import read_regular

Content = Callable[[], bytes]

#: Rows of a long table that are visible at once, all that a page has without JavaScript; and the longest short table.
FIRST_ROWS, LONGEST_SHORT = 100, 200
_ASSETS = ("site.css", "tables.js", "charts.js")
_PNG = b"\x89PNG\r\n\x1a\n"


def files(site: Site, sheets: Path) -> dict[str, Content]:
    """The files of the site by path, each with a function that renders it.

    Args:
        sheets: the folder of the releases' image sheets; it may be missing.
    """
    renderer = _Renderer(site, sheets)
    contents: dict[str, Content] = {
        "index.html": renderer.index,
        "results.html": renderer.results,
        "cells.html": renderer.cells,
        "results.csv": lambda: to_csv(site.table).encode(),
        "assets/plotly.min.js": _plotly,
        **{f"assets/{name}": functools.partial(_asset, name) for name in _ASSETS},
    }
    if site.ranked is not None:
        contents["leaderboard.csv"] = lambda: to_leaderboard_csv(site.entries).encode()
    for setting in site.settings:
        contents[f"settings/{setting.slug}.html"] = functools.partial(renderer.setting, setting)
    for row in site.rows:
        contents[listings.cell_page(row["cell"])] = functools.partial(renderer.cell, row)
        contents[f"records/{row['cell']}.json"] = functools.partial(_record, site.records[row["cell"]])
    for path in renderer.sheets.values():
        contents[f"sheets/{path.name}"] = functools.partial(read_regular, path)
    return contents


class _Renderer:
    """Pages of one site."""

    def __init__(self, site: Site, sheets: Path) -> None:
        self.site = site
        self._companions = companions(site.records.values())
        self._relatives = cellpage.Relatives(site)
        # Clean cells belong to several settings and link to none.
        self._setting_of = {
            row["cell"]: setting
            for setting in site.settings
            for group in setting.groups
            for row in group.members
            if not group.is_clean
        }
        self.sheets = _sheets(site.records.values(), sheets)
        self._templates = Environment(
            loader=PackageLoader("ucbench.leaderboard.site"),
            autoescape=True,
            finalize=_finalized,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"first_rows": FIRST_ROWS, "longest_short": LONGEST_SHORT, "embedded": embedded}

    def index(self) -> bytes:
        numbers = itertools.count(1)
        settings = [(setting, self._boards(setting, numbers)) for setting in self.site.settings]
        return self._page(
            "index.html.j2",
            settings=settings,
            filters=filters([table for _, tables in settings for table in tables], AXES),
            failed=[row for row in self.site.rows if row["status"] != "ok"],
            enough=ENOUGH_CRAFTS,
            meanings=MEANINGS,
        )

    def setting(self, setting: Setting) -> bytes:
        means = listings.means_table(setting.groups, "means", "Means over seeds, all defenses", setting.axes)
        return self._page(
            "setting.html.j2",
            "../",
            setting=setting,
            boards=self._boards(setting, itertools.count(1)),
            heat=listings.heat_table(setting, "heat"),
            means=means,
            filters=filters([means], AXES),
            figures={
                "accuracies": charts.accuracies(setting, self.site.ranked),
                "heat": charts.heat_map(setting),
                "craft": charts.cost(setting, "craft_seconds", "seconds to craft the release (log scale)", labels=True),
                "train": charts.cost(
                    setting, "seconds", "seconds to defend, train and measure (log scale)", labels=False
                ),
            },
            processors=cellpage.processors(
                self.site.records[row["cell"]] for group in setting.groups for row in group.members
            ),
        )

    def _boards(self, setting: Setting, numbers: Iterator[int]) -> list[Table]:
        return [
            listings.board_table(setting, board, f"board-{next(numbers)}", self.site.ranked) for board in setting.boards
        ]

    def results(self) -> bytes:
        table = listings.means_table(
            self.site.groups, "results", "Means over seeds, one row per setting of all axes", {}
        )
        return self._page("results.html.j2", table=table, filters=filters([table], AXES))

    def cells(self) -> bytes:
        table = listings.cells_table(self.site, "cells")
        return self._page("cells.html.j2", table=table, filters=filters([table], [*AXES, *table.columns[-1:]]))

    def cell(self, row: Row) -> bytes:
        record, group = self.site.records[row["cell"]], self.site.by_cell[row["cell"]]
        sheet = self.sheets.get(row["cell"])
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
            enough=ENOUGH_CRAFTS,
        )

    def _page(self, name: str, root: str = "", **values: Any) -> bytes:
        template = self._templates.get_template(name)
        return template.render(site=self.site, root=root, page=name.removesuffix(".j2"), **values).encode()


def _finalized(value: Any) -> Any:
    """What a template shows: text of records without control characters but line ends."""
    return visible_lines(value) if type(value) is str else value


def embedded(value: Any) -> Markup:
    """JSON for a ``<script>`` element, without characters that could end the element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _sheets(records: Iterable[Record], folder: Path) -> dict[str, Path]:
    """The image sheet of each cell that has one, by cell; a run's ``--out`` holds them. Links are left out."""
    files = (path for path in sorted(folder.glob("*.png")) if path.is_file() and not path.is_symlink())
    paths = {path.name: path for path in files if _size(path) != (0, 0)}
    sheets = {}
    for record in records:
        name = f"{record.get('components', {}).get('poisoner', {}).get('name')}-{str(record.get('release'))[:12]}.png"
        if name in paths:
            sheets[str(record["cell"])] = paths[name]
    return sheets


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file; zeros for any other file."""
    try:
        head = read_regular(path)[:24]
    except OSError:
        return 0, 0
    return struct.unpack(">II", head[16:24]) if head.startswith(_PNG) and len(head) == 24 else (0, 0)


def _record(record: Record) -> bytes:
    try:
        return to_json(record).encode()
    except ValueError as error:
        raise DataError(f"The record of cell {record['cell']} holds a number that is not finite.") from error


def _asset(name: str) -> bytes:
    return (resources.files("ucbench.leaderboard.site") / "assets" / name).read_bytes()


def _plotly() -> bytes:
    # Imported by name, since plotly has no types and is optional.
    offline = importlib.import_module("plotly.offline")
    text: str = offline.get_plotlyjs()
    return text.encode()
