"""How the crafts behind a board ended, by their own notes.

Replaces ``<!-- crafts cifar10-methods/v3 -->`` in a page by a table: for every poisoner of the board that notes errors
of its network, how often that was wrong on clean and on perturbed images when the craft ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from _ext import boards
from _ext.markdown import replace_markers, table
from _ext.paths import LEADERBOARDS
from ucbench.results.columns import ENTRY
from ucbench.results.records import read_records

MARKER = re.compile(r"<!-- crafts (?P<board>[a-z0-9-]+/v\d+) -->")


def crafts(board: str) -> str:
    """The table of a board of one radius without defenses, in the order of its rows; means over crafts, in percent.

    Raises:
        ValueError: if no craft of it notes an error, or it is not there.
    """
    notes: dict[tuple[str, ...], dict[int, Mapping[str, Any]]] = {}
    for record in read_records(LEADERBOARDS / board):
        request = record["request"]
        releases = notes.setdefault(tuple(str(request[name]) for name in ENTRY), {})
        releases[request["craft_seed"]] = record.get("crafting", {}).get("notes", {})
    lines = []
    kinds = ("clean", "perturbed")
    for summary in boards.summaries(board):
        found = [errors_of(one) for one in notes[tuple(str(summary.shared[name]) for name in ENTRY)].values()]
        if not any(found):
            continue
        means = (summary.means[name].text() for name in ("test_accuracy", "guess_accuracy"))
        errors = ([one[kind] for one in found if kind in one] for kind in kinds)
        shown = (f"{100 * fmean(values):.1f}" if values else "" for values in errors)
        lines.append([boards.labelled(summary, board), *means, *shown])
    if not lines:
        raise ValueError(f"{board} notes no errors of a craft's network.")
    header = ["poisoner", "test accuracy %", "guess %", "error on clean images %", "on perturbed images %"]
    return table(header, lines)


def errors_of(notes: Mapping[str, Any]) -> dict[str, float]:
    """The errors of a craft's network on ``clean`` and ``perturbed`` images, as shares; without those not noted."""
    right = {"perturbed": notes.get("recognised"), **notes.get("accuracies", {})}
    found = {kind: 1 - accuracy for kind, accuracy in right.items() if accuracy is not None}
    wrong = {"clean": notes.get("clean_error"), "perturbed": notes.get("error", (notes.get("errors") or [None])[-1])}
    return found | {kind: error for kind, error in wrong.items() if error is not None}


def inserted(text: str) -> str:
    return MARKER.sub(lambda match: crafts(match["board"]), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
