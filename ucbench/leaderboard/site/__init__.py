"""The static site of one board or many: tables, figures, a page per method and per cell, from records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ucbench.errors import DataError, UcbenchError
from ucbench.matrix.suite import GateRules


class BoardRules(NamedTuple):
    """What a suite says of its board: a heading, the defenses of the worst case, and the rules of the gate.

    ``ranked`` is None for no ranking.
    """

    title: str
    ranked: Sequence[str] | None
    gate: GateRules


class Built(NamedTuple):
    """A written site: its number of files and of boards, and why other folders are left out, by path."""

    files: int
    boards: int
    left_out: dict[str, str]


def build_site(
    folder: Path,
    out: Path,
    *,
    rules_of: Callable[[Path], BoardRules | None] = lambda path: None,
    title: str = "Unlearnable examples: leaderboards",
) -> Built:
    """Write one site of the board in ``folder``, or of all boards below it, to ``out``.

    The same records give the same bytes, with the same versions of ucbench, its plugins and Pillow. Boards are read one
    after another, so memory grows with the largest. Files of an earlier build in ``out`` that are no longer needed are
    removed. Paths of the machine that computed the records are published as their last part only.

    Args:
        rules_of: what is known of a board's suite, by its folder; None leaves the board without ranking.
        title: the heading of the site.

    Raises:
        UsageError: if ``out`` holds other files.
        DataError: if there is no board, or the only one cannot be read.
    """
    # The report of protected photos imports this room too, for its looks, without what only pages of boards need.
    from ucbench.leaderboard.gates import RULES
    from ucbench.leaderboard.site.boardpages import board_and_digest
    from ucbench.leaderboard.site.boards import find_boards
    from ucbench.leaderboard.site.collecting import collect
    from ucbench.leaderboard.site.output import Output
    from ucbench.leaderboard.site.render import Templates
    from ucbench.leaderboard.site.sitepages import site_files
    from ucbench.results.records import records_in

    boards, others = find_boards(folder)
    if not boards:
        raise DataError(f"There are no records in {folder / 'records'}, nor is there a board below {folder}.")
    output, templates = Output(out), Templates(title=title)
    left_out = dict.fromkeys(others, "it holds no records")
    digests = []
    for place in boards:
        try:
            rules = rules_of(place.path) or BoardRules(_name(place.relative), None, RULES)
            board = collect(records_in(place.path), rules.title, rules.ranked, place.path, rules.gate, place.slug)
            files, light = board_and_digest(board, place.path / "sheets", templates, _name(place.relative))
        except UcbenchError as error:
            if len(boards) == 1:
                raise
            left_out[place.relative] = str(error)
            continue
        output.write(files)
        digests.append(light)
    if not digests:
        raise DataError(f"No board below {folder} can be read: {'; '.join(left_out.values())}")
    output.write(site_files(digests, templates))
    output.finish()
    return Built(len(output.names), len(digests), left_out)


def _name(relative: str) -> str:
    return "board" if relative == "." else relative
