"""The report of an analysis as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ucbench.analysis.measures import COVARIANCE, INFORMATION
from ucbench.leaderboard.layout import markdown_table
from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.results.columns import column
from ucbench.results.statistics import BOTH
from ucbench.results.summary import Summary

#: Measures of the first table, by the end of their name, with headings, decimals, and a note on how to read them.
HEADLINES = (
    (INFORMATION, "ksg", "information, nats", 3, "sliced mutual information of clean and perturbed features, by "
     "nearest neighbours; compare with the clean row"),
    ("dependence", "cka", "CKA", 3, "similarity of clean and perturbed features; 1: equal up to rotation and scale"),
    (COVARIANCE, "log_det_perturbed", "log-det", 2, "within-class covariance of perturbed features per dimension; 0: "
     "classes as wide as all clean images together, -6.9: collapsed"),
    ("uniformity", "alignment", "alignment", 3, "mean squared distance of an image's clean and perturbed features at "
     "length 1; 0 to 4"),
    ("uniformity", "uniformity_perturbed", "uniformity", 2, "of perturbed features; 0: all in one point"),
    ("separability", "class_held_out", "guess %", 1, "classes guessed from the perturbation alone, by a linear "
     "classifier, on held-out images"),
    ("spectrum", "low", "low freq. %", 1, "share of the perturbation's energy below 1/8 of the highest frequency"),
)  # fmt: skip


def headline_columns(names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Column, heading and decimals of the measures that a table of ``names`` shows, in order."""
    headings: dict[str, tuple[str, int]] = {}
    for metric, value, heading, decimals, _ in HEADLINES:
        pattern = re.compile(rf"{metric}(:.*)?\.{value}")
        if name := next((name for name in names if pattern.fullmatch(name)), None):
            headings[name] = (heading, decimals)
    return headings


def lines(groups: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the first table: settings that differ, accuracy, its drop, and the headline measures."""
    measures = headline_columns([*groups[0].means]) if groups else {}
    varying = [name for name in GROUP_COLUMNS if name == "poisoner" or len({str(g.shared[name]) for g in groups}) > 1]
    header = [
        *(column(name).heading for name in varying), "accuracy %", "drop", *(h for h, _ in measures.values()), "crafts",
    ]  # fmt: skip
    rows = [
        [
            *(column(name).text(group.shared[name]) for name in varying),
            group.means["test_accuracy"].text(),
            group.means["drop"].text(constant=False),
            *(group.means[name].text(decimals) for name, (_, decimals) in measures.items()),
            str(group.accuracy.interval.n),
        ]
        for group in groups
    ]
    return header, rows


def correlation_lines(correlated: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the correlations, the strongest first within each victim."""
    if correlated.empty:
        return [], []
    strength = correlated["rho"].abs()
    ordered = correlated.assign(strength=strength).sort_values(
        ["victim", "strength"], ascending=[True, False], kind="stable"
    )
    header = ["victim", "measure", "Spearman", "95 % interval", "n"]
    return header, [
        [
            row.victim,
            row.measure,
            f"{row.rho:.2f}",
            "" if math.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}",
            str(row.n),
        ]
        for row in ordered.itertuples()
    ]


def markdown(groups: Sequence[Summary], correlated: pd.DataFrame, captions: Mapping[str, str], note: str) -> str:
    """The text of analysis.md.

    Args:
        correlated: of :func:`ucbench.analysis.table.correlations`.
        captions: of plots, by file name without ending.
        note: what was measured.
    """
    first = lines(groups)
    meanings = [f"- *{heading}*: {text}." for _, _, heading, _, text in HEADLINES if heading in first[0]]
    if any(group.accuracy.interval.n == 2 for group in groups):
        note += f" {BOTH}"
    parts = ["# Why these releases are unlearnable", note, _table(*first), "\n".join(meanings)]
    header, rows = correlation_lines(correlated)
    if rows:
        parts += [
            "## What goes with accuracy",
            "Spearman's rank correlation of each measure with attacker accuracy, over the lines of the table above. It"
            " shows what goes together, not what causes what, and of many measures some correlate by chance.",
            _table(header, [[victim, f"`{name}`", *rest] for victim, name, *rest in rows]),
        ]
    if captions:
        parts += ["## Plots", *(f"![{caption}](plots/{name}.svg)\n\n{caption}" for name, caption in captions.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    first, *others = [[str(text).replace("|", r"\|") for text in row] for row in (header, *rows)]
    return "\n".join(markdown_table(first, others))
