"""Figures of published boards, so that none is typed by hand.

Replaces two markers in a page. ``<!-- board photos-core/v1 -->`` becomes a table of the board: mean test accuracy of
every poisoner, with the half-width of its 95 % t interval over crafts. ``<!-- mean photos-core/v1 uc -->`` becomes one
of these means; a poisoner that was given other labels than the original ones is written ``rand-class|clusters:k=10``.
``<!-- surrogates fast-surrogates/v1 -->`` becomes a table of the means by poisoner and surrogate, a column for every
victim.

The README is read as it is, so its tables stand there between ``<!-- board ... -->`` and ``<!-- end of board -->``, its
figures between ``<!-- mean ... -->`` and ``<!-- end -->``. ``python docs/_ext/boards.py`` writes them; a test compares.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.markdown import code, replace_markers, table
from _ext.paths import LEADERBOARDS, ROOT
from ucbench.results.records import read_records
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import rows

BOARD = re.compile(r"<!-- board (?P<board>[a-z0-9-]+/v\d+) -->")
MEAN = re.compile(r"<!-- mean (?P<board>[a-z0-9-]+/v\d+) (?P<poisoner>[^ ]+) -->")
SURROGATES = re.compile(r"<!-- surrogates (?P<board>[a-z0-9-]+/v\d+) -->")
KEPT_MEAN = re.compile(rf"({MEAN.pattern}).*?(<!-- end -->)", re.DOTALL)
KEPT = re.compile(rf"({BOARD.pattern}\n).*?(<!-- end of board -->)", re.DOTALL)


@functools.cache
def summaries(board: str) -> list[Summary]:
    """The groups of a board's rows, in the order of its records."""
    return summarise(rows(read_records(LEADERBOARDS / board)))


def name(summary: Summary) -> str:
    """A poisoner as :data:`MEAN` names it."""
    shared = summary.shared
    labels = str(shared["craft_labels"])
    given = labels.partition(",model=")[0] if labels.startswith(("clusters", "predicted")) else ""
    budget = shared["norm"] if shared["poisoner"] == "sham" and shared["norm"] != "linf" else ""
    return "|".join(part for part in (str(shared["poisoner"]), given, str(budget)) if part)


def mean(board: str, poisoner: str) -> str:
    """Mean test accuracy of one poisoner of a board.

    Raises:
        KeyError: if the board does not have it.
    """
    found = {name(summary): summary for summary in summaries(board)}
    return found[poisoner].means["test_accuracy"].text()


def board_table(board: str) -> str:
    """The table of a board that has one data set, victim, labeling and defense."""
    lines = []
    for summary in summaries(board):
        shared, accuracy = summary.shared, summary.accuracy
        budget = "" if shared["norm"] in (None, "unbounded") else f"{shared['norm']} {shared['epsilon']:g}"
        label, _, given = name(summary).partition("|")
        knowledge = "" if label in ("clean", "sham") else given.partition("|")[0] or str(shared["label_access"])
        count = accuracy.counts if label != "clean" else str(summary.done)
        deviations = (f"{value:.1f}" if value == value else "" for value in (accuracy.craft_sd, accuracy.training_sd))
        lines.append([code(label), knowledge, budget, summary.means["test_accuracy"].text(), *deviations, count])
    return table(
        ["poisoner", "label knowledge", "budget", "test accuracy %", "SD of crafts", "SD of trainings", "n"], lines
    )


def surrogate_table(board: str) -> str:
    """Mean test accuracies by poisoner and surrogate, for every victim of a board."""
    means: dict[tuple[str, str], dict[str, str]] = {}
    for summary in summaries(board):
        surrogate = str(summary.shared["surrogate"])
        row = means.setdefault((code(name(summary)), "" if surrogate == "none" else code(surrogate)), {})
        row[str(summary.shared["victim"])] = summary.means["test_accuracy"].text()
    victims = list(dict.fromkeys(victim for row in means.values() for victim in row))
    lines = [[*names, *(row.get(victim, "") for victim in victims)] for names, row in means.items()]
    return table(["poisoner", "surrogate", *map(code, victims)], lines)


def inserted(text: str) -> str:
    text = SURROGATES.sub(lambda match: surrogate_table(match["board"]), text)
    text = BOARD.sub(lambda match: board_table(match["board"]), text)
    return MEAN.sub(lambda match: mean(match["board"], match["poisoner"]), text)


def readme(text: str) -> str:
    """The README with its tables and figures written anew."""
    text = KEPT.sub(lambda match: f"{match[1]}\n{board_table(match['board'])}\n\n{match[3]}", text)
    return KEPT_MEAN.sub(lambda match: f"{match[1]}{mean(match['board'], match['poisoner'])}{match[4]}", text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")
