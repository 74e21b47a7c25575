"""Figures of published boards, so that none is typed by hand.

Replaces markers in a page. ``<!-- board photos-core/v1 -->`` becomes a table of the board: mean test accuracy of
every poisoner, with the half-width of its 95 % t interval over crafts, or with both values of two crafts.
``<!-- mean photos-core/v1 uc -->`` becomes one of these means; a poisoner that was given other labels than the original
ones is written ``rand-class|clusters:k=10``, one under a defense ``uc|jpeg``. Where a board has several victims, radii,
labelings, presets or surrogates (or models of its craft labels), they follow: ``uc|airbench@small|8|openclip:RN50``.
Within a table, Markdown wants bars escaped: ``uc\\|jpeg``.
``<!-- across victim fast-surrogates/v1 -->`` becomes a table of the means by poisoner and victim, and of the gate's
verdicts; likewise for other axes. ``<!-- orders airbench@small fast-surrogates/v1 -->`` becomes a table of how far the
order of releases by each other victim agrees with that by this one.

The README is read as it is, so its tables stand there between ``<!-- board ... -->`` and ``<!-- end of board -->``, its
figures between ``<!-- mean ... -->`` and ``<!-- end -->``. ``python docs/_ext/boards.py`` writes them; a test compares.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.markdown import code, replace_markers, table
from _ext.paths import LEADERBOARDS, ROOT
from ucbench.leaderboard.board import Judged, judged_in
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.victims import by_victim
from ucbench.matrix.from_record import poisoner_of
from ucbench.matrix.suite import suite_in
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN, NO_DEFENSE, SHAM
from ucbench.results.columns import SETTING
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import Row

#: Before the model in craft labels.
_MODEL = re.compile("[:,]model=")
BOARD = re.compile(r"<!-- board (?P<board>[a-z0-9-]+/v\d+) -->")
MEAN = re.compile(r"<!-- mean (?P<board>[a-z0-9-]+/v\d+) (?P<poisoner>[^ ]+) -->")
ACROSS = re.compile(r"<!-- across (?P<axis>[a-z_]+) (?P<board>[a-z0-9-]+/v\d+) -->")
ORDERS = re.compile(r"<!-- orders (?P<victim>[^ ]+) (?P<board>[a-z0-9-]+/v\d+) -->")
KEPT_MEAN = re.compile(rf"({MEAN.pattern}).*?(<!-- end -->)", re.DOTALL)
KEPT = re.compile(rf"({BOARD.pattern}\n).*?(<!-- end of board -->)", re.DOTALL)


@functools.cache
def _judged(board: str) -> Judged:
    suite = suite_in(LEADERBOARDS / board)
    return judged_in(LEADERBOARDS / board, suite.file.gate if suite else RULES)


@functools.cache
def summaries(board: str) -> list[Summary]:
    """The groups of a board's rows, in the order of its records."""
    return summarise(_judged(board).table)


def name(summary: Summary) -> str:
    """A poisoner as :data:`MEAN` names it."""
    shared = summary.shared
    budget = shared["norm"] if shared["poisoner"] == SHAM and shared["norm"] != "linf" else ""
    return "|".join(part for part in (str(shared["poisoner"]), _given(shared), str(budget)) if part)


def _given(shared: Row) -> str:
    """The labels a poisoner was given, if not the original ones, without the model behind them."""
    labels = str(shared["craft_labels"])
    return _MODEL.split(labels)[0] if labels.startswith(("clusters", "predicted")) else ""


def named(summary: Summary) -> str:
    """A poisoner as tables name it: with its preset and, where other releases have its name, labels and budget."""
    return _named(summary) + _budget(summary.shared, several=False)


def _named(summary: Summary) -> str:
    given = _given(summary.shared)
    return code(poisoner_of(summary.shared)) + (f" on {code(given)}" if given else "")


def _budget(shared: Row, *, several: bool) -> str:
    """The budget behind a name: the radius where there are several, with its norm if that is not linf."""
    if shared["epsilon"] is None or shared["norm"] in (None, "unbounded"):
        return ""
    if shared["norm"] != "linf" and (several or shared.get("poisoner") == SHAM):
        return f" ({shared['norm']} {shared['epsilon']:g})"
    return f" at {shared['epsilon']:g}" if several else ""


def caption(found: Iterable[Summary], what: str = "Mean test accuracy in %") -> str:
    """The line above a table of means: over how many crafts they are, and what stands beside them."""
    counts: dict[bool, set[int]] = {True: set(), False: set()}
    for summary in found:
        counts[summary.shared["base"] == CLEAN].add(summary.accuracy.interval.n)
    trainings, crafts = (counts[is_clean] - {0} for is_clean in (True, False))
    units = f"n = {_span(crafts)} crafts" if crafts else ""
    if trainings:
        own = "" if trainings == crafts else f"{_span(trainings)} "
        units += f"{', or ' if units else ''}{own}trainings on clean images"
    half = ", ± half of the 95 % interval," if max(crafts | trainings) > 2 else ""
    both = "; of two, both values in parentheses" if 2 in crafts | trainings else ""
    return f"{what}{half} over {units}{both}."


def _span(counts: set[int]) -> str:
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))


def mean(board: str, poisoner: str) -> str:
    """Mean test accuracy of one poisoner of a board, without defense unless it names one.

    Raises:
        KeyError: if the board does not have it.
        ValueError: if the board has several means of this name, as of several victims.
    """
    asked = set(poisoner.replace("\\|", "|").split("|"))
    found = [summary for summary in summaries(board) if _is_named(summary, asked)]
    if not found:
        raise KeyError(poisoner)
    if len(found) > 1:
        raise ValueError(f"{board} has {len(found)} means of {poisoner}.")
    return accuracy_text(found[0])


def accuracy_text(summary: Summary) -> str:
    """Mean test accuracy with its interval, or with both values of two crafts, whose interval is too wide."""
    return summary.means["test_accuracy"].text()


def _in_one_line(summary: Summary) -> str:
    """Its accuracy as one word: columns of wide tables are narrow."""
    return accuracy_text(summary).replace(" ", "\N{NO-BREAK SPACE}")


def _is_named(summary: Summary, asked: set[str]) -> bool:
    """Whether ``asked`` has all that names the row, and nothing else but its setting, preset and network."""
    shared = summary.shared
    needed = {*name(summary).split("|"), str(shared["defense"])} - {NO_DEFENSE}
    setting = {str(shared["victim"]), f"{shared['epsilon'] or 0:g}", str(shared["labeling"])}
    optional = setting | {str(shared["preset"]), _source(shared)}
    return needed <= asked <= needed | optional


def _source(shared: Row) -> str:
    """The network behind a release: the poisoner's surrogate, or the model that labelled the images for it."""
    _, *model = _MODEL.split(str(shared["craft_labels"]))
    return model[0].strip("\"'") if model else str(shared["surrogate"])


def board_table(board: str) -> str:
    """The table of a board that has one data set, victim, labeling and defense, below its caption."""
    lines = []
    for summary in summaries(board):
        shared, accuracy = summary.shared, summary.accuracy
        budget = "" if shared["norm"] in (None, "unbounded") else f"{shared['norm']} {shared['epsilon']:g}"
        label = poisoner_of(shared)
        knowledge = "" if label in ADDED_REFERENCES else _given(shared) or str(shared["label_access"])
        count = accuracy.counts if label != CLEAN else str(summary.done)
        deviations = (f"{value:.1f}" if value == value else "" for value in (accuracy.craft_sd, accuracy.training_sd))
        lines.append(
            [
                code(label) + _from(summary, board),
                knowledge,
                budget,
                accuracy_text(summary),
                *deviations,
                count,
            ]
        )
    header = ["poisoner", "label knowledge", "budget", "test accuracy %", "SD of crafts", "SD of trainings", "n"]
    return f"{caption(summaries(board))}\n\n{table(header, lines)}"


def across(axis: str, board: str) -> str:
    """Mean test accuracies of a board by poisoner and the values of ``axis``, the shorter of the two as columns.

    Poisoners are distinguished by preset, by surrogate where one was run with several, and by radius where one value of
    the axis has several. Where the gate may depend on the axis, a last line states its verdict for every value. A
    caption stands above.

    Raises:
        ValueError: if rows differ in something else, such as the labeling or another axis, so that a place has several.
    """
    means: dict[str, dict[str, str]] = {}
    for summary in summaries(board):
        several = _has_several_radii(summary.shared, axis, board)
        line = means.setdefault(labelled(summary, board, several=several), {})
        _put(line, str(summary.shared[axis]), _in_one_line(summary), board)
    if axis in SETTING:
        for gate in _judged(board).gates:
            several = _has_several_radii(gate.shared, axis, board)
            line = means.setdefault(f"gate{_budget(gate.shared, several=several)}", {})
            _put(line, str(gate.shared[axis]), gate.state, board)
    values = list(dict.fromkeys(value for line in means.values() for value in line))
    if len(values) <= len(means):
        lines = [[one, *(line.get(value, "") for value in values)] for one, line in means.items()]
        made = table(["poisoner", *map(code, values)], lines)
    else:
        lines = [[code(value), *(line.get(value, "") for line in means.values())] for value in values]
        made = table([axis, *means], lines)
    return f"{caption(summaries(board))}\n\n{made}"


def _put(line: dict[str, str], value: str, text: str, board: str) -> None:
    if value in line:
        raise ValueError(f"{board} has several rows of one place under {value}: {line[value]} and {text}.")
    line[value] = text


def labelled(summary: Summary, board: str, *, several: bool = False) -> str:
    """A poisoner as tables name it, with the network behind it where the board has several.

    Args:
        several: whether to tell the radius, of which there are several.
    """
    return _named(summary) + _from(summary, board) + _budget(summary.shared, several=several)


def _alike(summary: Summary, board: str) -> list[Row]:
    """The rows of a board that have the same name."""
    return [one.shared for one in summaries(board) if name(one) == name(summary)]


def _from(summary: Summary, board: str) -> str:
    """The network behind a row, where rows of its name have several."""
    several = len({_source(one) for one in _alike(summary, board)}) > 1
    return f" from {code(_source(summary.shared))}" if several else ""


def _has_several_radii(shared: Row, axis: str, board: str) -> bool:
    """Whether there are several with the row's value of ``axis``."""
    radii = {one.shared["epsilon"] for one in summaries(board) if one.shared[axis] == shared[axis]} - {None}
    return len(radii) > 1


def orders(victim: str, board: str) -> str:
    """How far the other victims of a board put its releases in the order that ``victim`` does.

    Raises:
        KeyError: if the board does not have the victim, or no other one.
    """
    (found,) = by_victim(_judged(board).table, _judged(board).gates)
    pairs = {
        one if other == victim else other: agreed
        for (one, other), agreed in found.pairs.items()
        if victim in (one, other)
    }
    if not pairs:
        raise KeyError(victim)
    lines = [
        [code(other), str(one.items), f"{one.tau:.2f} ({one.low:.2f} to {one.high:.2f})", ", ".join(found.gates[other])]
        for other, one in pairs.items()
    ]
    return table(["victim", "releases", f"tau-b with {code(victim)}", "gate"], lines)


def inserted(text: str) -> str:
    text = ORDERS.sub(lambda match: orders(match["victim"], match["board"]), text)
    text = ACROSS.sub(lambda match: across(match["axis"], match["board"]), text)
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
