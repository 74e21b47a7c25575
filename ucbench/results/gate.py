"""The gate: whether a regime (data, budget, victim, schedule) can show an effect at all."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from ucbench.plugins.builtin import POSITIVE
from ucbench.results.summary import Summary, summarise
from ucbench.results.table import Row

INTERVAL_CHECK, ONE_SEED = "half-width of the interval", "needs two seeds"


class Gate(NamedTuple):
    """The judgement of one regime: the row of ``positive``, and each check with whether it passed and its numbers."""

    shared: Row
    checks: dict[str, tuple[bool, str]]

    @property
    def passed(self) -> bool:
        return all(ok for ok, _ in self.checks.values())

    @property
    def verdict(self) -> str:
        """The verdict in words; one seed that passes all other checks leaves it open."""
        if self.passed:
            return "passed"
        failed = {name for name, (ok, _) in self.checks.items() if not ok}
        if failed == {INTERVAL_CHECK} and self.checks[INTERVAL_CHECK][1] == ONE_SEED:
            return "open until there are two seeds"
        return "NOT passed: this regime shows nothing"

    @property
    def text(self) -> str:
        """The verdict and its checks."""
        checks = "; ".join(f"{name} {text}{'' if ok else ' (no)'}" for name, (ok, text) in self.checks.items())
        return f"{self.verdict}. {checks}."


def gates(table: pd.DataFrame) -> list[Gate]:
    """Judge every regime in which ``positive`` was run.

    A regime passes where the victim reaches at least 95 % train accuracy on the positive release, positive removes at
    least 70 % of the clean-minus-chance gap, clean and sham differ by at most 10 % of it, and the 95 % interval of the
    positive row has a half-width of at most 10 points (which needs at least two seeds).

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
    """
    return [_gate(group) for group in summarise(table[table["base"] == POSITIVE]) if group.done]


def _gate(group: Summary) -> Gate:
    mean = {name: interval.mean for name, interval in group.means.items()}
    train, removed, half = mean["train_accuracy"], mean["gap_removed"], group.means["test_accuracy"].half
    gap = mean["clean_accuracy"] - mean["chance"]
    difference = abs(mean["clean_accuracy"] - mean["sham_accuracy"]) / gap if gap > 0 else math.nan
    return Gate(
        group.shared,
        {
            "train accuracy on the release": (train >= 95, f"{train:.1f} %, at least 95"),
            "positive removes": (removed >= 0.7, f"{100 * removed:.0f} % of the gap, at least 70"),
            "|clean - sham|": (difference <= 0.1, f"{100 * difference:.0f} % of the gap, at most 10"),
            INTERVAL_CHECK: (half <= 10, ONE_SEED if math.isnan(half) else f"{half:.1f} points, at most 10"),
        },
    )
