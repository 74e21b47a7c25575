"""What the pages over all boards need of each board: light values that outlive the board's records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ucbench.leaderboard.finding import Finding
from ucbench.leaderboard.site.charts import Candidate, Forest, protectors, small_forest
from ucbench.leaderboard.site.data import Board, Group, Setting
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.results.gate import State
from ucbench.results.statistics import Interval

#: Name, width and height of an image sheet.
Sheet = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Result:
    """One poisoner under one defense in one setting, over its seeds.

    Attributes:
        axes: its values in words.
        setting: place of its setting on its board.
        by_craft: accuracy in percent by craft seed.
        clean: accuracy on clean images under the same defense, in percent.
        state: of the gate.
        removed: share of the gap removed; without a mean where the gate was not passed.
        spoiled: whether the defense takes more than half of the clean gap to chance.
    """

    axes: Mapping[str, str]
    setting: int
    label: str
    base: str
    kind: str
    defenses: tuple[str, ...]
    accuracy: Interval
    removed: Interval
    by_craft: Mapping[int, float]
    clean: float
    craft_seconds: float
    seconds: float
    state: State
    spoiled: bool


@dataclass(frozen=True, eq=False)
class Digest:
    """One board, as pages over all boards show it.

    Attributes:
        path: the board's path below the searched folder.
        facts: what was varied, in words, for the card.
        settings: titles of its settings, with the link to each relative to the site's root.
        poisoners: competitors in its lead setting, with effect and cost; empty without a passed gate.
        lead: place of the setting that the finding is about, if its gate was passed.
        sheets: an image sheet of each poisoner that has one, by base name.
        thumbnail: a part of an image sheet, with width and height; None without sheets.
    """

    title: str
    path: str
    home: str
    finding: Finding
    forest: Forest | None
    facts: Mapping[str, str]
    cells: int
    failed: int
    settings: tuple[tuple[str, str], ...]
    results: tuple[Result, ...]
    poisoners: tuple[Candidate, ...]
    lead: int | None
    sheets: Mapping[str, Sheet]
    thumbnail: tuple[int, int] | None = None

    def is_spoiled(self, defense: str) -> bool:
        """Whether the defense takes too much of clean accuracy in the lead setting."""
        return any(r.spoiled for r in self.results if r.setting == self.lead and r.axes["defense"] == defense)


def digest(board: Board, path: str, sheets: Mapping[str, Sheet], thumbnail: tuple[int, int] | None) -> Digest:
    """The light values of a board.

    Args:
        sheets: the image sheet of each cell that has one, by cell.
    """
    by_base: dict[str, Sheet] = {}
    for cell, sheet in sheets.items():
        by_base.setdefault(board.by_cell[cell].base, sheet)
    lead = board.lead if board.lead and board.lead.passed else None
    return Digest(
        board.title,
        path,
        board.home,
        board.finding,
        small_forest(lead) if lead else None,
        _facts(board),
        len(board.rows),
        sum(row["status"] != "ok" for row in board.rows),
        tuple((setting.title, board.home + setting.link) for setting in board.settings),
        tuple(_results(board)),
        tuple(protectors(lead)) if lead else (),
        board.settings.index(lead) if lead else None,
        by_base,
        thumbnail,
    )


def _results(board: Board) -> Iterator[Result]:
    for place, setting in enumerate(board.settings):
        for group in setting.groups:
            if not group.is_clean and group.summary.done:
                yield _result(group, setting, place)


def _result(group: Group, setting: Setting, place: int) -> Result:
    means, defense = group.means, group.axes["defense"]
    return Result(
        group.axes,
        place,
        group.label,
        group.base,
        group.kind,
        group.defenses,
        means["test_accuracy"],
        means["gap_removed"],
        group.summary.accuracy.means,
        setting.clean(defense),
        means["craft_seconds"].mean,
        means["seconds"].mean,
        setting.judgement.state,
        setting.spoiled(defense),
    )


def _facts(board: Board) -> dict[str, str]:
    """Data sets, budgets, victims, defenses, crafts and versions, in few words."""
    groups = [group for group in board.groups if not group.is_clean]
    competing = [group for group in groups if group.summary.done and not group.kind]
    crafts = sorted({group.summary.means["test_accuracy"].n for group in competing})
    versions = {r["environment"]["versions"].get("ucbench") for r in board.records.values()}
    axes = {
        name: list(dict.fromkeys(g.axes[name] for g in groups)) for name in ("dataset", "budget", "victim", "defense")
    }
    defenses = [defense for defense in axes["defense"] if defense != NO_DEFENSE]
    return {
        "data": _few(axes["dataset"]),
        "radius": _few(axes["budget"]),
        "victim": _few(axes["victim"]),
        "poisoners": str(len({group.base for group in groups if not group.kind})),
        "defenses": str(len(defenses)),
        "crafts": "" if not crafts else str(crafts[0]) if len(crafts) == 1 else f"{crafts[0]} to {crafts[-1]}",
        "made with": "ucbench " + ", ".join(sorted(str(v) for v in versions if v)) if any(versions) else "",
    }


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} and {len(texts) - 1} more"
