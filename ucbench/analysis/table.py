"""The rows of an analysis: accuracies, perturbations and measures of every cell, and what explains the accuracies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ucbench.analysis.measures import BY_LAYER, INFORMATION
from ucbench.plugins.builtin import CLEAN
from ucbench.results.columns import CHANGED, COLUMNS, REQUESTED
from ucbench.results.records import Record
from ucbench.results.summary import Summary
from ucbench.results.table import SAME_EXPLOITER, beside, columns, rows

#: Fewest groups of cells that a correlation is computed of.
FEWEST = 4
_RESULTS = ("test_accuracy", "clean_accuracy", "drop", "gap_removed", "guess_accuracy")
#: Columns of results.csv that an analysis repeats.
_REPEATED = (*(column.name for column in REQUESTED), *_RESULTS, *(column.name for column in CHANGED), "cell")


class Correlation(NamedTuple):
    """Spearman's rank correlation of a measure with test accuracy over n groups, and its 95 % interval.

    ``victim`` is ``all`` where groups of several victims are taken together. They share releases, so that their
    interval, which takes groups as independent, is too narrow.
    """

    victim: str
    measure: str
    rho: float
    low: float
    high: float
    n: int


def analysis_rows(records: Iterable[Record]) -> pd.DataFrame:
    """Rows of the records of finished cells as :func:`ucbench.results.table.rows`, with the gaps of mutual information.

    ``<metric>.<estimator>_gap`` is the value of the clean cell of the same exploiter and train seed minus this one.
    """
    table = rows(records)
    clean = table[table["poisoner"] == CLEAN]
    for name in columns(table)[len(COLUMNS) :]:
        if name.startswith((f"{INFORMATION}.", f"{INFORMATION}:")) and f"{name}_se" in table:
            table[f"{name}_gap"] = beside(table, clean, SAME_EXPLOITER, name) - table[name]
    return table


def analysis_columns(table: pd.DataFrame) -> list[str]:
    """The columns of analysis.csv: the request, accuracies, the size of the change, and all measures by name."""
    return [*_REPEATED, *columns(table)[len(COLUMNS) :]]


def measure_columns(table: pd.DataFrame) -> list[str]:
    """The measures that vary from row to row, without standard errors."""
    names = [name for name in columns(table)[len(COLUMNS) :] if not name.endswith("_se")]
    return [name for name in (*names, "guess_accuracy", "psnr") if table[name].nunique() > 1]


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float, int]:
    """Spearman's correlation, the ends of its 95 % interval, and the number of pairs without NaN.

    The interval is Fisher's with the standard error of Bonett and Wright (Psychometrika 65, 2000),
    ``sqrt((1 + rho^2 / 2) / (n - 3))``. It is NaN for a perfect order, which shows no
    spread; all are NaN below four pairs, or where a side is constant.
    """
    pairs = np.array([x, y], dtype=float)
    pairs = pairs[:, ~np.isnan(pairs).any(0)]
    count = pairs.shape[1]
    if count < FEWEST or any(len(np.unique(side)) < 2 for side in pairs):
        return math.nan, math.nan, math.nan, count
    rho = float(stats.spearmanr(*pairs).statistic)
    if abs(rho) > 1 - 1e-9:
        return rho, math.nan, math.nan, count
    centre, half = math.atanh(rho), 1.959964 * math.sqrt((1 + rho**2 / 2) / (count - 3))
    return rho, math.tanh(centre - half), math.tanh(centre + half), count


def correlations(groups: Sequence[Summary], measures: Sequence[str]) -> pd.DataFrame:
    """The :class:`Correlation` of each measure, for each victim and, of several, for all: one row each."""
    victims = list(dict.fromkeys(str(group.shared["victim"]) for group in groups))
    correlated = []
    for victim in [*victims, *(["all"] if len(victims) > 1 else [])]:
        members = [group for group in groups if victim in ("all", str(group.shared["victim"]))]
        accuracies = [group.means["test_accuracy"].mean for group in members]
        for name in measures:
            if victim == "all" and name.startswith(BY_LAYER):
                continue  # the same number is another layer
            values = [group.means[name].mean for group in members]
            correlated.append(Correlation(victim, name, *spearman(values, accuracies)))
    return pd.DataFrame(correlated, columns=list(Correlation._fields)).dropna(subset="rho").reset_index(drop=True)
