"""The pages of one board: the board, all results, its cells, and each cell."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ucbench.leaderboard.legend import MEANINGS
from ucbench.leaderboard.rerun import companions, rerun
from ucbench.leaderboard.sheets import SheetFile, sheets_of, thumbnail
from ucbench.leaderboard.site import cellpage, charts, listings
from ucbench.leaderboard.site.across import Digest, digest
from ucbench.leaderboard.site.addresses import cell_page, method_page
from ucbench.leaderboard.site.data import Board, Setting
from ucbench.leaderboard.site.output import Content
from ucbench.leaderboard.site.render import Templates
from ucbench.leaderboard.site.table import AXIS_COLUMNS, filters
from ucbench.leaderboard.tables import to_leaderboard_csv
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.citations import bibtex
from ucbench.plugins.registry import installed
from ucbench.results.records import Record, to_json
from ucbench.results.table import Row, to_csv
from ucbench.store.untrusted import read_regular


def board_and_digest(board: Board, sheets: Path, templates: Templates, path: str) -> tuple[dict[str, Content], Digest]:
    """The files of a board by path below the site's root, and what pages over all boards show of it.

    Args:
        sheets: the folder of the releases' image sheets; it may be missing.
        path: the board's path below the searched folder.
    """
    by_cell = sheets_of(board.records.values(), sheets)
    files = _files(board, by_cell, templates)
    sizes = {
        cell: (f"{board.home}sheets/{sheet.path.name}", sheet.width, sheet.height) for cell, sheet in by_cell.items()
    }
    small = thumbnail(by_cell, _competitors_first(board))
    if small is not None:
        image = small[0]
        files[f"{board.home}thumbnail.png"] = lambda: image
    return files, digest(board, path, sizes, small and small[1:])


def _files(board: Board, sheets: Mapping[str, SheetFile], templates: Templates) -> dict[str, Content]:
    pages = _Pages(board, sheets, templates)
    contents: dict[str, Content] = {
        "index.html": pages.index,
        "results.html": pages.results,
        "cells.html": pages.cells,
        "results.csv": lambda: to_csv(board.table).encode(),
    }
    if board.ranked is not None:
        contents["leaderboard.csv"] = lambda: to_leaderboard_csv(board.blocks).encode()
    for row in board.rows:
        contents[cell_page(row["cell"])] = functools.partial(pages.cell, row)
        contents[f"records/{row['cell']}.json"] = functools.partial(_record, board.records[row["cell"]])
    for sheet in sheets.values():
        contents[f"sheets/{sheet.path.name}"] = functools.partial(read_regular, sheet.path)
    return {board.home + name: content for name, content in contents.items()}


class _Pages:
    def __init__(self, board: Board, sheets: Mapping[str, SheetFile], templates: Templates) -> None:
        self.board = board
        self.sheets = sheets
        self._templates = templates
        self._companions = companions(board.records.values())
        self._relatives = cellpage.Relatives(board)
        self._withheld = not all(group.passed for group in board.groups)
        # Clean cells belong to several settings and link to none.
        self._setting_of = {
            row["cell"]: setting
            for setting in board.settings
            for group in setting.groups
            for row in group.members
            if not group.is_clean
        }

    def index(self) -> bytes:
        board = self.board
        table = listings.board_table(board, "poisoners")
        return self._page(
            "board.html.j2",
            "index.html",
            table=table,
            selector=filters(table, [one for one in AXIS_COLUMNS if one.key in listings.WHERE]),
            figures=[self._figures(place, setting) for place, setting in enumerate(board.settings)],
            failed=sum(row["status"] != "ok" for row in board.rows),
            meanings=[(name, text) for name, text in MEANINGS.items() if name in self._meant()],
            bibliography=_bibliography(board),
            processors=cellpage.processors(board.records.values()),
        )

    def _meant(self) -> tuple[str, ...]:
        if self.board.ranked is None:
            return ()
        return ("Rank", "Effect") if self.board.ranked == (NO_DEFENSE,) else ("Rank", "Worst case", "Bias", "Effect")

    def _figures(self, place: int, setting: Setting) -> dict[str, Any]:
        return {
            "setting": setting,
            "forest": charts.forest(setting, "../../"),
            "heat": listings.heat_table(setting, f"heat-{place}"),
            "cost": charts.tradeoff(
                charts.protectors(setting),
                "seconds to craft the release (logarithmic)",
                "gap removed, %" if self.board.ranked is None else "effect, %",
                f"Effect against seconds of crafting in {setting.title}; the table has the numbers.",
            )
            if setting.passed
            else None,
        }

    def results(self) -> bytes:
        table = listings.means_table(self.board.groups, "results", "Means over seeds, one row per poisoner and defense")
        offered = filters(table, AXIS_COLUMNS)
        return self._page("results.html.j2", "results.html", table=table, filters=offered, withheld=self._withheld)

    def cells(self) -> bytes:
        table = listings.cells_table(self.board, "cells")
        offered = filters(table, [*AXIS_COLUMNS, *table.columns[-1:]])
        return self._page("cells.html.j2", "cells.html", table=table, filters=offered, withheld=self._withheld)

    def cell(self, row: Row) -> bytes:
        board = self.board
        record, group = board.records[row["cell"]], board.by_cell[row["cell"]]
        sheet = self.sheets.get(row["cell"])
        return self._page(
            "cell.html.j2",
            cell_page(row["cell"]),
            record=record,
            group=group,
            axes=[(column.title, group.axes[column.key]) for column in AXIS_COLUMNS],
            setting=self._setting_of.get(row["cell"]),
            method=None if group.is_clean else method_page("poisoner", group.base),
            seeds=cellpage.seeds_text(row),
            measures=cellpage.measures_table(row, group),
            history=cellpage.history_table(record),
            figure=charts.history(record.get("history", ())),
            relatives=self._relatives.of(row),
            other=cellpage.OTHER,
            sections=cellpage.sections(record),
            components=cellpage.components(record),
            warnings=cellpage.warnings(record),
            command=rerun(record, self._companions),
            shortened=row["cell"] in board.shortened,
            sheet=None if sheet is None else (sheet.path.name, sheet.width, sheet.height),
        )

    def _page(self, template: str, name: str, **values: Any) -> bytes:
        here = "../" * name.count("/")
        return self._templates.page(template, self.board.home + name, board=self.board, here=here, page=name, **values)


def _bibliography(board: Board) -> dict[str, list[str]]:
    """BibTeX entries by name of poisoner or defense, without parameters."""
    registry = installed()
    names = {("poisoner", group.base) for group in board.groups}
    names |= {("defense", name) for group in board.groups for name in group.defenses}
    specs = {(kind, spec.name): spec for kind in ("poisoner", "defense") for spec in registry.specs(kind)}
    entries_of = {name: bibtex(name, specs[kind, name].paper) for kind, name in sorted(names) if (kind, name) in specs}
    return {name: entries for name, entries in entries_of.items() if entries}


def _record(record: Record) -> bytes:
    return to_json(record).encode()


def _competitors_first(board: Board) -> Iterable[Record]:
    """The records in the order in which their image sheets stand for the board."""
    lead = [board.lead.undefended[entry] for entry in board.lead.competing] if board.lead else []
    groups = [*lead, *(g for g in board.groups if not g.kind), *board.groups]
    return (board.records[row["cell"]] for group in groups for row in group.members)
