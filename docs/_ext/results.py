"""A page for every published board, made from the records in its folder.

Writes ``docs/results/NAME-vN.md`` while building: a finding in three sentences, the board's figure, its tables, and how
to run it again. Replaces ``<!-- results -->`` in a page by a table of all boards, and ``<!-- result NAME -->`` by a
link to the latest board of the suite NAME, or by that name while no board of it is published.

``python docs/_ext/results.py`` writes ``leaderboards/README.md``, the table for readers of the folder; a test compares.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.boards import accuracy_text
from _ext.markdown import code, replace_markers, table
from _ext.measured import superseded
from _ext.paths import DOCS, LEADERBOARDS, RESULTS, ROOT, write_pages
from _ext.published import relinked
from ucbench.leaderboard.board import judged
from ucbench.leaderboard.entries import Block, Leaderboard
from ucbench.leaderboard.finding import finding
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.layout import block_heading, sections
from ucbench.matrix.names import poisoner_text
from ucbench.matrix.suite import SUITE_FILE, Suite, suite_in
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, REFERENCES
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import BLOCK, ENTRY, EXPLOITER
from ucbench.results.gate import Gate, State
from ucbench.results.records import records_in
from ucbench.results.summary import Summary, summarise

MARKER = "<!-- results -->"
FOLDER_README = LEADERBOARDS / "README.md"
LINK = re.compile(r"<!-- result ([a-z0-9-]+) -->")


@dataclass(frozen=True, eq=False)
class Board:
    """A published folder ``NAME/vN``: its suite, if it holds one, and the folders with its records."""

    folder: Path
    suite: Suite | None
    parts: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.folder.relative_to(LEADERBOARDS).as_posix()

    @property
    def page(self) -> str:
        """The page's path in ``docs``."""
        return f"{RESULTS}/{self.name.replace('/', '-')}.md"

    @property
    def title(self) -> str:
        if self.suite is not None:
            return self.suite.file.title or self.name
        heading = re.match(r"# (.+)", _readme(self.folder))
        return heading[1] if heading else self.name


class Part(NamedTuple):
    """The records of one folder of a board: means over seeds, the leaderboard, verdicts."""

    groups: list[Summary]
    leaderboard: Leaderboard
    gates: list[Gate]


@functools.cache
def boards() -> tuple[Board, ...]:
    """The published boards by name; of each the suite is the copy in its folder."""
    found = []
    for folder in sorted(path for path in LEADERBOARDS.glob("*/v*") if path.is_dir()):
        parts = tuple(path.parent for path in sorted(folder.rglob("records")))
        if parts:
            found.append(Board(folder, suite_in(folder), parts))
    return tuple(found)


@functools.cache
def part(board: Board, folder: Path) -> Part:
    """The tables of the records in ``folder``, a part of ``board``."""
    rules, defenses = (board.suite.file.gate, board.suite.file.ranking.defenses) if board.suite else (RULES, ())
    found = judged(records_in(folder), rules, board.folder)
    return Part(summarise(found.table), found.leaderboard(defenses), found.gates)


def pages() -> dict[str, str]:
    """All pages by file name."""
    return {Path(board.page).name: page(board) for board in boards()}


def page(board: Board) -> str:
    """One board as Markdown."""
    blocks = [f"# {board.title}"]
    for folder in board.parts:
        if len(board.parts) > 1:
            blocks.append(f"## {folder.name}")
        of = part(board, folder)
        blocks += [_finding(of, board), superseded(of.leaderboard.versions), *_figures(folder), *_tables(of)]
    blocks.append(_again(board))
    # An interval is one word.
    return "\n\n".join(filter(None, blocks)).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}") + "\n"


def _finding(of: Part, board: Board) -> str:
    """What the part shows: the conditions, the accuracies, and what the gate allows."""
    ranked = board.suite.file.ranking.defenses if board.suite else None
    found = finding(of.groups, of.leaderboard.blocks, of.gates, ranked, code)
    verdict = found.verdict.replace("gate", "[gate](../gate.md)", 1)
    number = f"The largest of {found.settings} settings: " if found.settings > 1 else ""
    conditions = f"{number}{found.conditions}." if found.conditions else ""
    return " ".join(filter(None, [conditions, *found.accuracies, found.references, verdict]))


def _figures(folder: Path) -> list[str]:
    """The first plot that lies beside the records."""
    plots = sorted([*folder.glob("*.svg"), *folder.glob("*.png")])
    shown = [path for path in plots if not path.stem.endswith("dark")][:1]
    names = {path: path.stem.replace("-", " ") for path in shown}
    return [f"![Means and intervals by {names[path]}](../../{path.relative_to(ROOT).as_posix()})" for path in shown]


def _tables(of: Part) -> list[str]:
    blocks = []
    for section in sections(of.leaderboard):
        place = section.headers.index("poisoner")
        lines = [list(section.row(line)) for line in section.lines]
        for line, texts in zip(section.lines, lines, strict=True):
            texts[place] = _marked(texts[place], line.reference)
        by_defense = _by_defense(of.groups, section.block)
        access = {"none": "no labels", "names": "class names", "full": "labels"}[section.block["label_access"]]
        blocks.append(
            _folded(
                f"{block_heading(section.block)}; poisoners given {access}",
                section.note,
                table(section.headers, lines),
                f"Mean test accuracy in percent under each defense:\n\n{by_defense}" if by_defense else "",
            )
        )
    return blocks


def _marked(text: str, reference: str) -> str:
    """A poisoner's text with its reference as code."""
    return code(reference) + text.removeprefix(reference)


def _by_defense(groups: Sequence[Summary], block: Mapping[str, Any]) -> str:
    """Mean accuracies of clean images and a block's poisoners under every defense; empty if there is only one."""
    clean = [one for one in groups if one.shared["base"] == CLEAN and _equal(one, block, EXPLOITER)]
    same = [*clean, *(one for one in groups if one.shared["base"] != CLEAN and _equal(one, block, BLOCK))]
    defenses = sorted({str(one.shared["defense"]) for one in same}, key=lambda name: (name != NO_DEFENSE, name))
    if len(defenses) < 2:
        return ""
    lines: dict[tuple[Any, ...], dict[str, str]] = {}
    for one in same:
        name = tuple(one.shared[part] for part in ENTRY)
        lines.setdefault(name, {})[one.shared["defense"]] = accuracy_text(one).replace(" ", "\N{NO-BREAK SPACE}")
    return table(
        ["poisoner", "label knowledge", *map(code, defenses)],
        [[*_entry_texts(entry), *(cells.get(one, "") for one in defenses)] for entry, cells in lines.items()],
    )


def _entry_texts(entry: tuple[Any, ...]) -> tuple[str, str]:
    named = dict(zip(ENTRY, entry, strict=True))
    return _marked(poisoner_text(named), named["poisoner"]), str(named["craft_labels"] or "")


def _equal(group: Summary, block: Mapping[str, Any], names: Iterable[str]) -> bool:
    return all(group.shared[name] == block[name] for name in names)


def _folded(summary: str, *blocks: str) -> str:
    shown = summary.replace("&", "&amp;").replace("<", "&lt;")
    return "\n\n".join([f"<details>\n<summary>{shown}</summary>", *filter(None, blocks), "</details>"])


def _again(board: Board) -> str:
    """The commands of a suite's board, or what its folder says."""
    folder = board.folder.relative_to(ROOT).as_posix()
    if board.suite is None:
        text = re.sub(r"\A# .+\n", "", _readme(board.folder))
        return f"## How it was run\n\n{relinked(text.strip(), board.folder / 'README.md', DOCS / board.page)}"
    return "\n\n".join(
        [
            "## Run it again",
            f"The records are in `{folder}`. From the root of a clone:",
            f"```sh\nucbench run --suite {folder}/{SUITE_FILE} --out results\n"
            f"ucbench leaderboard check {folder}/{SUITE_FILE} {folder}\n```",
            _folded("The suite", f"```toml\n{board.suite.path.read_text(encoding='utf-8').strip()}\n```"),
        ]
    )


def _readme(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def overview() -> str:
    """A table of all boards with links to their pages."""
    return table(
        ["board", "what was compared", "settings by gate"],
        [[f"[`{board.name}`]({board.page})", board.title, _states(board)] for board in boards()],
    )


def _states(board: Board) -> str:
    """How many settings of a board are in each state of the gate."""
    counts = Counter({(folder, block.setting): block.gate.state for folder, block in _blocks(board)}.values())
    return ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])


def _blocks(board: Board) -> list[tuple[Path, Block]]:
    return [(folder, block) for folder in board.parts for block in part(board, folder).leaderboard.blocks]


def folder_readme() -> str:
    """The README of the folder of all boards."""
    lines = [
        [f"[{name}]({board.name}/README.md)", board.title, board.folder.name, _states(board), _crafts(board)]
        for board in boards()
        for name in [board.folder.parent.name]
    ]
    return (
        "# Published leaderboards\n\n"
        "Only the current version of a suite is kept; the history has earlier ones. *Gate* counts the settings that\n"
        "passed [the gate](../docs/gate.md), failed it or were not judged; only those that passed say anything about\n"
        "methods. *Crafts* is the number of releases behind a poisoner's mean.\n\n"
        f"{table(['board', 'question', 'version', 'gate', 'crafts'], lines)}\n\n"
        "[How to read a board](../docs/read-a-board.md), [how to send one](../docs/leaderboards.md#submitting).\n"
        "`python docs/_ext/results.py` writes this file.\n"
    )


def _crafts(board: Board) -> str:
    """The numbers of crafts of a board's poisoners, from the least to the most."""
    found = [entry for _, block in _blocks(board) for entry in block.entries]
    counts = {entry.seeds for entry in found if base_name(entry.values["poisoner"]) not in REFERENCES}
    return "-".join(str(count) for count in sorted({min(counts), max(counts)}))


def link(name: str) -> str:
    """A link to the latest board of a suite, from a page in ``docs``."""
    versions = [board for board in boards() if board.folder.parent.name == name]
    latest = max(versions, key=lambda board: int(board.folder.name[1:]), default=None)
    return f"[`{name}`]({latest.page})" if latest else f"`{name}` (not published yet)"


def inserted(text: str) -> str:
    """``text`` with the table and the links in place of their markers."""
    if MARKER in text:
        text = text.replace(MARKER, overview())
    return LINK.sub(lambda found: link(found[1]), text)


def _write(app: Any) -> None:
    write_pages(Path(app.srcdir), RESULTS, pages())


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return replace_markers(app, inserted)


if __name__ == "__main__":
    FOLDER_README.write_text(folder_readme(), encoding="utf-8")
