"""The gate: whether a regime (data, budget, victim, schedule) can show an effect at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import pandas as pd

from ucbench.plugins.builtin import CLEAN, NO_DEFENSE, POSITIVE
from ucbench.plugins.grammar import base_name, parse
from ucbench.results.columns import EXPLOITER, SETTING, values_of
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import SAME_WORLD, Row

#: The second positive. It is no reference: its labels are those of a protector, so it is ranked.
PIXEL_POSITIVE = "rand-class:pattern=sign"
#: Base names of the rows that a gate is judged by.
_JUDGING = (CLEAN, POSITIVE, base_name(PIXEL_POSITIVE))
#: Train accuracy on clean images at convergence, in percent, unless a suite states another.
CONVERGED = 100.0


class Check(NamedTuple):
    """One condition in one regime: whether it is met (None if it was not measured), and its numbers in words."""

    met: bool | None
    text: str


@dataclass(frozen=True)
class Condition:
    """One condition of the gate.

    Attributes:
        name: a short name.
        meaning: the condition in words, with ``{limit}``, for the documentation.
        limit: the least value that meets it, or the greatest.
        unit: unit of the value and the limit.
        greatest: whether ``limit`` is the greatest value.
        above: whether a value must be above ``limit``.
        missing: what a missing value means.
    """

    name: str
    meaning: str
    limit: float
    unit: str
    greatest: bool = False
    above: bool = False
    missing: str = "not run"

    @property
    def described(self) -> str:
        return self.meaning.format(limit=f"{self.limit:g}")

    def check(self, value: float) -> Check:
        if math.isnan(value):
            return Check(None, self.missing)
        met = value <= self.limit if self.greatest else value > self.limit if self.above else value >= self.limit
        bound = "at most" if self.greatest else "above" if self.above else "at least"
        return Check(met, f"{value:.1f} {self.unit}, {bound} {self.limit:g}")


_REMOVED = 70.0
CLEAN_TRAIN = Condition(
    "clean train accuracy",
    "the victim reaches, on clean images, at least {limit} % of the train accuracy that its recipe reaches at"
    " convergence (100 % unless the suite states another, measured one)",
    95.0,
    "% of convergence",
)
CLEAN_TEST = Condition(
    "clean accuracy above chance",
    "the lower end of the 95 % interval of clean accuracy, over trainings and over test images, is above chance",
    0.0,
    "points at the lower end of its interval",
    above=True,
    missing="needs two trainings",
)
TRAIN = Condition(
    "train accuracy on the release",
    "the victim reaches at least {limit} % train accuracy on the positive release",
    95.0,
    "%",
)
REMOVED = Condition(
    "positive removes", "`positive` removes at least {limit} % of the clean-minus-chance gap", _REMOVED, "% of the gap"
)
PIXELS = Condition(
    PIXEL_POSITIVE,
    f"`{PIXEL_POSITIVE}`, random signs per class and pixel, removes at least {{limit}} % of it too: a victim may learn"
    " the blocks of `positive` and miss changes at the scale of single pixels",
    _REMOVED,
    "% of the gap",
)
SHAMMED = Condition(
    "|clean - sham|", "clean and sham differ by at most {limit} % of that gap", 10.0, "% of the gap", greatest=True
)
HALF_WIDTH = Condition(
    "half-width of the interval",
    "the 95 % interval of the positive row has a half-width of at most {limit} points",
    10.0,
    "points",
    greatest=True,
    missing="needs two crafts",
)
CONDITIONS = (CLEAN_TRAIN, CLEAN_TEST, TRAIN, REMOVED, PIXELS, SHAMMED, HALF_WIDTH)
#: What the conditions of the gap say where clean accuracy is not above chance by its interval.
_NO_GAP = Check(None, "unknown, since clean accuracy is not clearly above chance")


State = Literal["passed", "failed", "not judged"]


class Judgement(NamedTuple):
    """What a table says of a regime: the state of its gate, and a sentence with the reasons."""

    state: State
    text: str


#: Of a regime in which the reference was not run.
NOT_JUDGED = Judgement("not judged", f"Gate: not judged, because `{POSITIVE}` was not run in this setting.")


class Gate(NamedTuple):
    """The judgement of one regime.

    Attributes:
        shared: the row of ``positive``.
        checks: of each of :data:`CONDITIONS`, by its name.
        board: the leaderboard whose records it follows from; empty for the rows at hand.
    """

    shared: Row
    checks: dict[str, Check]
    board: str = ""

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    @property
    def state(self) -> State:
        """``failed`` where a condition is not met; ``not judged`` where one was not measured and none fails."""
        met = [check.met for check in self.checks.values()]
        return "failed" if False in met else "not judged" if None in met else "passed"

    @property
    def reasons(self) -> list[str]:
        """The checks that are not met or were not measured, in words."""
        return [f"{name} {check.text}" for name, check in self.checks.items() if not check.met]

    @property
    def text(self) -> str:
        """The verdict and its checks."""
        marks = {True: "", False: " (no)", None: " (open)"}
        checks = "; ".join(f"{name} {check.text}{marks[check.met]}" for name, check in self.checks.items())
        verdicts = {"failed": "NOT passed: no effect is stated", "not judged": "not judged in full"}
        return f"{verdicts.get(self.state, self.state)}. {checks}."

    @property
    def judgement(self) -> Judgement:
        board = f" of {self.board}" if self.board else ""
        return Judgement(self.state, f"Gate{board} (`{self.shared['poisoner']}`): {self.text}")


def gates(table: pd.DataFrame, converged: float | None = None) -> list[Gate]:
    """Judge every regime in which ``positive`` was run without defense, by :data:`CONDITIONS`.

    A defense may stop a shortcut, so regimes are judged without one.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        converged: clean train accuracy that the recipe reaches at convergence, in percent; by default
            :data:`CONVERGED`.
    """
    groups = summarise(table[(table["defense"] == NO_DEFENSE) & table["base"].isin(_JUDGING)])
    converged = CONVERGED if converged is None else converged
    return [_gate(group, groups, converged) for group in groups if group.shared["base"] == POSITIVE and group.done]


def judgement_of(gates: Sequence[Gate], setting: tuple[Any, ...]) -> Judgement:
    """The judgement of a setting: by a gate that was passed, else by the first; :data:`NOT_JUDGED` without any.

    Args:
        setting: the values of :data:`ucbench.results.columns.SETTING`.
    """
    gate = gate_of(gates, setting)
    return gate.judgement if gate else NOT_JUDGED


def gate_of(gates: Sequence[Gate], setting: tuple[Any, ...]) -> Gate | None:
    """The gate of a setting, as of :func:`judgement_of`; None without any."""
    judged = [gate for gate in gates if values_of(gate.shared, SETTING) == setting]
    return min(judged, key=lambda gate: not gate.passed, default=None)


def _gate(group: Summary, groups: Sequence[Summary], converged: float) -> Gate:
    def beside(poisoner: str, names: Sequence[str]) -> list[Summary]:
        wanted, reference = values_of(group.shared, (*names, *SAME_WORLD)), parse(poisoner)
        return [
            one
            for one in groups
            if values_of(one.shared, (*names, *SAME_WORLD)) == wanted
            and (named := parse(one.shared["poisoner"])).name == reference.name
            and set(reference.options) <= set(named.options)
        ]

    mean = {name: interval.mean for name, interval in group.means.items()}
    clean = next((one for one in beside(CLEAN, EXPLOITER) if one.done), None)
    # The gap of clean rows, which is 0 % removed, is missing where they are not clearly above chance.
    clear = clean is not None and not math.isnan(clean.means["gap_removed"].mean)
    removed = [one.means["gap_removed"].mean for one in beside(PIXEL_POSITIVE, SETTING)]
    gap = mean["clean_accuracy"] - mean["chance"]
    # Of rows with both references: the means over those with either would differ by their seeds.
    members = group.members
    shammed = (members["clean_accuracy"] - members["sham_accuracy"]).groupby(members["unit"]).mean().mean()
    values = {
        CLEAN_TRAIN: 100 * clean.means["train_accuracy"].mean / converged if clean else math.nan,
        CLEAN_TEST: clean.means["test_accuracy"].low - mean["chance"] if clean else math.nan,
        TRAIN: mean["train_accuracy"],
        REMOVED: 100 * mean["gap_removed"],
        # Craft labels other than the exploiter's may be among them, so the best counts.
        PIXELS: 100 * max((value for value in removed if not math.isnan(value)), default=math.nan),
        SHAMMED: 100 * abs(float(shammed)) / gap if gap > 0 else math.nan,
        HALF_WIDTH: group.means["test_accuracy"].half,
    }
    checks = {condition.name: condition.check(values[condition]) for condition in CONDITIONS}
    if converged != CONVERGED:  # it makes the condition weaker, so tables say so
        stated = replace(CLEAN_TRAIN, unit=f"% of the {converged:g} % at convergence that the suite states")
        checks[CLEAN_TRAIN.name] = stated.check(values[CLEAN_TRAIN])
    if clean and not clear:
        checks |= {condition.name: _NO_GAP for condition in (REMOVED, PIXELS, SHAMMED)}
        if checks[CLEAN_TEST.name].met:
            checks[CLEAN_TEST.name] = Check(False, "not by its interval over the test images")
    return Gate(group.shared, checks)
