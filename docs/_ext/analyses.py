"""Results of an analysis, from the measures in a published board's records.

Replaces, in a page, ``<!-- analysis mi-by-poisoner/v1: poisoners -->`` by a table of every poisoner's accuracy and
headline measures, ``... : correlations [BOARD] -->`` by a table of rank correlations with lost accuracy, beside those
of another board,
``... : rho MEASURE -->`` by one of these with its interval, and ``... : victims MEASURE -->`` by a table of
a measure for every victim and poisoner. Correlations are over the lines of the linf budget and the clean one: for
other budgets no gate was judged.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Any

from _ext.boards import caption, named
from _ext.markdown import code, replace_markers, table
from _ext.paths import LEADERBOARDS
from ucbench.analysis.analyze import Analysis, analysis
from ucbench.analysis.report import headline_columns
from ucbench.analysis.table import spearman
from ucbench.plugins.builtin import CLEAN
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import MetricSpec
from ucbench.results.records import read_records
from ucbench.results.summary import Summary
from ucbench.running.metric_values import metric_key

MARKER = re.compile(r"<!-- analysis ([a-z0-9-]+/v\d+): (poisoners|(?:correlations|rho|victims)(?: ([^ ]+))?) -->")
#: Measures whose correlation is shown, with what they are.
MEASURES = {
    "mutual-information.ksg_gap": "lost information, nearest neighbours",
    "mutual-information.histogram_gap": "lost information, histogram",
    "mutual-information.kernel_gap": "lost information, kernels",
    "mutual-information.mine_gap": "lost information, MINE",
    "mutual-information.gaussian_gap": "lost information, Gaussian",
    "dependence.cka": "CKA of clean and perturbed features",
    "uniformity.alignment": "distance of clean and perturbed features",
    "uniformity.uniformity_perturbed": "uniformity of perturbed features",
    "covariance.log_det_perturbed": "within-class log-determinant, perturbed",
    "covariance.cosine_gap_perturbed": "cosine within minus between classes, perturbed",
    "separability.class_held_out": "classes guessed from the perturbation alone",
    "spectrum.low": "share of low frequencies",
}


@functools.cache
def analysed(board: str) -> Analysis:
    """The analysis of the records of a board, such as ``mi-by-poisoner/v1``."""
    return analysis(read_records(LEADERBOARDS / board))


@functools.cache
def earlier(board: str) -> str:
    """Which metrics have a later version here than in some record of a board; empty if none."""
    metrics, found = {}, set()
    for record in read_records(LEADERBOARDS / board):
        for metric, key in record.get("measured_by", {}).items():
            if metric not in metrics:
                metrics[metric] = installed().resolve(MetricSpec, metric)
            if metric_key(record["cell"], metrics[metric]) != key:
                found.add(metric)
    names = ", ".join(map(code, sorted(found)))
    return f"Measured with an earlier version of {names} ([what changed](published/changelog.md))." if found else ""


def poisoners(board: str) -> str:
    """Every poisoner: accuracy and the measures of the report, means over crafts with 95 % intervals."""
    groups = sorted(analysed(board).groups, key=lambda group: group.means["test_accuracy"].mean)
    measures = headline_columns([*groups[0].means])
    lines = [
        [
            named(group),
            group.means["test_accuracy"].text(),
            *(group.means[measure].text(decimals) for measure, (_, decimals) in measures.items()),
        ]
        for group in groups
    ]
    made = table(["poisoner", "accuracy %", *(heading for heading, _ in measures.values())], lines)
    return f"{caption(groups, 'Means')}\n\n{made}"


def rho(groups: Sequence[Summary], measure: str) -> tuple[str, str, str]:
    """Spearman's correlation of a measure with lost accuracy, its 95 % interval, and the number of groups."""
    lost = [-group.means["test_accuracy"].mean for group in groups]
    found, low, high, count = spearman([group.means[measure].mean for group in groups], lost)
    return f"{found:.2f}", "" if math.isnan(low) else f"[{low:.2f}, {high:.2f}]", str(count)


def judged(board: str) -> list[Summary]:
    """The groups whose setting has a judged gate: those within the linf budget, and the clean one."""
    return [
        group for group in analysed(board).groups if group.shared["norm"] == "linf" or group.shared["base"] == CLEAN
    ]


def correlations(*boards: str) -> str:
    """The correlations of :data:`MEASURES` that the records of each board have."""
    cells = {board: judged(board) for board in boards}
    lines = [
        [what, code(measure), *(value for board in boards for value in _with_interval(cells[board], measure))]
        for measure, what in MEASURES.items()
    ]
    return table(["measure", "column", *(heading for board in boards for heading in (code(board), "n"))], lines)


def _with_interval(groups: Sequence[Summary], measure: str) -> tuple[str, str]:
    value, interval, count = rho(groups, measure)
    return f"{value} {interval}".rstrip(), count


def victims(board: str, measure: str, decimals: int) -> str:
    """A measure of every victim and poisoner, means over crafts with 95 % intervals."""
    groups = judged(board)
    made = {(group.shared["victim"], named(group)): group.means[measure].text(decimals) for group in groups}
    lines, columns = ([*dict.fromkeys(key[place] for key in made)] for place in (0, 1))
    rows = [[code(victim), *(made.get((victim, column), "") for column in columns)] for victim in lines]
    return f"{caption(groups, 'Means')}\n\n{table(['victim', *columns], rows)}"


def described(board: str, part: str, of: str | None) -> str:
    """What replaces a marker; ``of`` is a measure or another board."""
    if part.startswith("rho"):
        return _with_interval(judged(board), str(of))[0]
    boards = [board]
    if part.startswith("victims"):
        made = victims(board, str(of), 1 if str(of).endswith("accuracy") else 3)
    elif part == "poisoners":
        made = poisoners(board)
    else:
        boards += [of] if of else []
        made = correlations(*boards)
    notes = [f"{code(each)}: {note}" for each in boards if (note := earlier(each))]
    return "\n\n".join([made, *notes])


def inserted(text: str) -> str:
    return MARKER.sub(lambda found: described(*found.groups()), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
