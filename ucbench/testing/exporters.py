"""The contract of exporters."""

from __future__ import annotations

import math
import re
from typing import Any

from ucbench.leaderboard.entries import Block, Entry, Leaderboard
from ucbench.leaderboard.formats import Exporter
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ExporterSpec
from ucbench.results.gate import NOT_JUDGED, Judgement
from ucbench.results.statistics import Interval, Nested
from ucbench.testing.rules import Rule
from ucbench.testing.subject import GENERATORS, RUNS, Subject, subject_of

#: Characters with a meaning in LaTeX, HTML, Markdown or CSV.
NASTY = 'net_18:a&b<c>"d|e%f#g~h^i\\j{k},l'
TITLE = f"trial v1: {NASTY}"


def sample_leaderboard() -> Leaderboard:
    """Two blocks: ranked and unranked, with a missing defense, without intervals, oddly named.

    All accuracies of an entry are equal, so that a format may show any of them.
    """
    complete, gone = Interval(61.5, 2.25, 4), Interval(0.325, 0.05, 4)
    several = Nested(complete, (3, 3), 1.5, 0.75, dict.fromkeys(range(4), 61.5))
    second, third = (
        Nested(Interval(mean, math.nan, 1), (1, 1), math.nan, math.nan, {0: mean}) for mean in (43.5, 72.5)
    )
    passed = Judgement("passed", "Gate: passed.")
    linf = {"norm": "linf", "epsilon": 8.0, "mixture": 1.0, "trusted": 0, "label_access": "none"}
    unbounded = {"norm": "unbounded", "epsilon": None, "mixture": 0.5, "trusted": 20, "label_access": "full"}
    exploiter = {"dataset": "digits", "labeling": "original", "victim": NASTY}
    plain = {"preset": "standard", "surrogate": "none", "craft_labels": "none"}
    quick = {"preset": "quick", "surrogate": NASTY, "craft_labels": "original"}
    alder, birch, cedar = (
        Entry(
            {"poisoner": "alder", **plain}, "1-2", 4, several, 61.5, complete, 0.6, "jpeg", gone, 90.0, (), 61.5, 61.5
        ),
        Entry({"poisoner": "birch", **quick}, "", 1, second, 43.5, None, math.nan, "", None, None, ("jpeg",)),
        Entry({"poisoner": "cedar", **plain}, "", 1, third, 72.5, third.interval, math.nan, "none", None, None, ()),
    )
    return Leaderboard(
        (
            Block({**exploiter, **linf}, (alder, birch), passed, ("none", "jpeg")),
            Block({**exploiter, **unbounded}, (cedar,), NOT_JUDGED),
        )
    )


TEXT = Rule("text", "export() must return text", "Return one str, even for a leaderboard without entries.")
REPEATABLE = Rule(
    "repeatable",
    "leaderboards of the same content must give equal texts",
    "Leave out dates, and everything else that does not follow from leaderboard and title.",
)
COMPLETE = Rule(
    "complete",
    "every entry must be in the text, with its poisoner's name and an accuracy",
    "Write entries without rank, without interval and of several blocks too.",
)
RULES = (RUNS, GENERATORS, TEXT, REPEATABLE, COMPLETE)


def check_exporter(exporter: Component[Any] | Exporter, *, spec: ExporterSpec | None = None) -> None:
    """Check an exporter: the same text for the same leaderboard, with every entry in it, whatever its name.

    Raises:
        ContractError: if a rule is broken.
    """
    subject = subject_of(exporter, spec, ExporterSpec)
    with subject.isolated():
        leaderboard = sample_leaderboard()
        first, again = _text(subject, leaderboard, 0), _text(subject, leaderboard, 1)
        with subject.isolated():
            subject.require(first == again, REPEATABLE, "Two calls returned different texts")
        with subject.isolated():
            for entry in (entry for block in leaderboard.blocks for entry in block.entries):
                name = entry.values["poisoner"]
                subject.require(name in first, COMPLETE, f"It lacks the poisoner {name!r}")
                shown = _shows(first, entry.undefended.interval.mean)
                subject.require(shown, COMPLETE, f"It has no accuracy of {name!r}")
        _text(subject, Leaderboard(()), 0)


def _shows(text: str, accuracy: float) -> bool:
    """Whether ``text`` has ``accuracy``, in percent or as a fraction, with any number of digits."""
    whole = math.floor(accuracy)
    return re.search(rf"(?<!\d)({whole}|{whole + 1})", text) is not None


def _text(subject: Subject[ExporterSpec], leaderboard: Leaderboard, state: int) -> str:
    with subject.calling("export()", state=state):
        text = subject.build().export(leaderboard, TITLE)
    subject.require(isinstance(text, str), TEXT, f"Got {type(text).__qualname__}")
    return str(text)
