"""Plots of a leaderboard's rows: one measure along one axis, with one series per combination of other differences."""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ucbench.errors import DataError, UsageError
from ucbench.matrix.axes import AXIS, GROUP_COLUMNS
from ucbench.plugins.builtin import CLEAN, SHAM
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.columns import BUDGET, COLUMNS, ENTRY, PLOT_AXES, PLOTTED, column
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.table import by_unit, grouped, plain

EXTRA = "ucbench[plot]"
#: Distinct for all common kinds of colour vision, on white and on near-black (after Okabe and Ito).
PALETTE = ("#0080c0", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c6bb1", "#7f7f7f")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NUMBERS = {name for name in PLOT_AXES if not AXIS[name].type.is_text}


class Ends(NamedTuple):
    """The ends of the vertical axis, in displayed units; None leaves an end to matplotlib.

    Intervals of few seeds can reach beyond possible values; the ends clip them, but never a mean.
    """

    lowest: float | None = 0.0
    highest: float | None = 103.0


#: The ends for each column of ``PLOTTED``.
MEASURES: Mapping[str, Ends] = {
    "test_accuracy": Ends(),
    "gap_removed": Ends(-15.0, 105.0),
    "drop_sham": Ends(None, None),
    "linear_probe": Ends(),
    "perturbed_test_accuracy": Ends(),
}
_MARKS = "oDs^P*vX"
_REFERENCES = {CLEAN: ("#606060", "_"), SHAM: ("#a0a0a0", "_")}


def selected(table: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet all ``COLUMN=VALUE`` conditions; of several conditions on one column, at least one.

    Raises:
        UsageError: for a condition of another form or on an unknown column, and if no row meets them.
    """
    values_of: dict[str, set[str]] = defaultdict(set)
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or name not in COLUMNS:
            raise UsageError(f"--where is COLUMN=VALUE with a column of results.csv, not {condition!r}.")
        values_of[name].add(value)
    for name, values in values_of.items():
        table = table[table[name].map(column(name).text).isin(values)]
    if conditions and table.empty:
        raise UsageError(f"No row has {' and '.join(conditions)}.")
    return table


class Series(NamedTuple):
    """Rows with the same mark: a name, and the interval over seeds by value of the axis."""

    name: str
    poisoner: str
    points: dict[Any, Interval]


def series(table: pd.DataFrame, by: str, measure: str) -> list[Series]:
    """The series of rows of :func:`ucbench.results.table.rows`: references first, then poisoners in the rows' order.

    Raises:
        UsageError: for an axis or a measure that is not one of ``PLOT_AXES`` and ``PLOTTED``.
        DataError: if no row has the measure.
    """
    for option, name, known in ("--by", by, PLOT_AXES), ("--measure", measure, PLOTTED):
        if name not in known:
            raise UsageError(f"{option} is one of {', '.join(known)}, not {name!r}.")
    drawn = table[(table["status"] == "ok") & table[measure].notna()]
    if drawn.empty:
        raise DataError(f"No row has {measure}.")
    drawn = drawn.assign(
        shown=drawn["poisoner"] + drawn["preset"].map(lambda preset: "" if preset == DEFAULT_PRESET else f"@{preset}"),
        value=column(measure).factor * drawn[measure],
    )
    drawn = drawn.assign(series=_names(drawn, by), place=drawn["shown" if by == "poisoner" else by])
    keys = ["series", "place"] if by == "poisoner" else ["poisoner", "series", "place"]
    points: dict[tuple[str, str], dict[Any, Interval]] = defaultdict(dict)
    for (*poisoner, name, place), members in grouped(drawn, keys):
        units = by_unit(members, ["value"])["value"]
        points["".join(poisoner), name][place] = t_interval(units)
    order = list(_REFERENCES)
    return sorted(
        (Series(name, poisoner, values) for (poisoner, name), values in points.items()),
        key=lambda one: order.index(one.poisoner) if one.poisoner in order else len(order),
    )


def _names(rows: pd.DataFrame, by: str) -> list[str]:
    """For each row, all differences to rows with other marks, except the value along the axis."""
    released = rows[rows["poisoner"] != CLEAN]  # clean rows have no budget
    varying = [
        name
        for name in GROUP_COLUMNS
        if name not in (*ENTRY, by) and (released if name in BUDGET else rows)[name].nunique(False) > 1
    ]
    several = rows.groupby("poisoner")["surrogate"].transform("nunique") > 1
    labels = _brief(set(rows["craft_labels"]))
    names = []
    for index, row in plain(rows).iterrows():
        parts = [] if by == "poisoner" else [row["shown"]]
        if row["craft_labels"] not in AXIS["craft_labels"].implied and by != "craft_labels":
            parts.append(f"labels {labels[row['craft_labels']]}")
        if several[index] and by != "surrogate":
            parts.append(f"surrogate {row['surrogate']}")
        parts += [f"{name} {row[name]}" for name in varying if row["poisoner"] != CLEAN or name not in BUDGET]
        names.append(", ".join(parts) or "all")
    return names


def _brief(labels: set[str]) -> dict[str, str]:
    """Craft labels without their model, unless two differ only in the model."""
    brief = {text: re.split("[:,]model=", text)[0] for text in labels}
    return brief if len(set(brief.values())) == len(labels) else {text: text for text in labels}


def _ends(measure: Ends, drawn: Sequence[Series]) -> tuple[float | None, float | None]:
    """The measure's ends, extended so that every mean is visible."""
    means = [point.mean for one in drawn for point in one.points.values()]
    margin = 0.05 * (max(means) - min(means))
    lowest = None if measure.lowest is None else min(measure.lowest, min(means) - margin)
    return lowest, None if measure.highest is None else max(measure.highest, max(means) + margin)


def plot(table: pd.DataFrame, out: Path, *, by: str, measure: str, title: str) -> None:
    """Draw rows into the file ``out``, in the format its ending names; the same rows give the same bytes.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        by: the column along the axis.
        measure: the column to draw, as mean and 95 % interval over seeds.

    Raises:
        UsageError, DataError: as :func:`series`.
        UsageError: if matplotlib is missing (the text has the install line) or does not support the format.
    """
    drawn = series(table, by, measure)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f'Plots are made with matplotlib, not installed here. Run: pip install "{EXTRA}"')
    import matplotlib as mpl
    from matplotlib.figure import Figure

    endings = Figure().canvas.get_supported_filetypes()
    if out.suffix[1:].lower() not in endings:
        raise UsageError(f"{out} has to end in one of {', '.join(sorted(endings))}.")
    places = _places(drawn, by)
    with mpl.rc_context({"svg.hashsalt": "ucbench", "font.size": 9}):
        width = max(6.0, 1.1 * len(places) + 1.5)
        columns = min(len(drawn), max(1, int(width // (0.5 + 0.075 * max(len(one.name) for one in drawn)))))
        # The plot has a fixed height; the legend's lines add to it.
        figure = Figure(figsize=(width, 3.6 + 0.19 * -(-len(drawn) // columns)), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, drawn, places, by)
        axes.set_ylabel(column(measure).axis)
        axes.set_ylim(*_ends(MEASURES[measure], drawn))
        axes.set_xlabel(column(by).heading)
        axes.set_title(textwrap.fill(title, int(width * 11)), fontsize=10)  # about eleven characters an inch
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
        out.parent.mkdir(parents=True, exist_ok=True)
        # Without date and program version, so that equal rows give equal bytes.
        omitted = {"png": ("Software",), "svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
        metadata = dict.fromkeys(omitted.get(out.suffix[1:].lower(), ()))
        figure.savefig(out, dpi=150, metadata=metadata or None)


def _places(drawn: Sequence[Series], by: str) -> list[Any]:
    """Values along the axis: numbers by size; names in the order of the rows, `none` and `original` first.

    Names that differ only in their numbers are adjacent, sorted by number.
    """
    places = list(dict.fromkeys(place for one in drawn for place in one.points if place is not None))
    if by in _NUMBERS:
        return sorted(places)
    families = list(dict.fromkeys(_NUMBER.sub("", place) for place in places))
    return sorted(
        places,
        key=lambda place: (
            place not in ("none", "original"),
            families.index(_NUMBER.sub("", place)),
            [float(number) for number in _NUMBER.findall(place)],
        ),
    )


def _draw(axes: Any, drawn: Sequence[Series], places: Sequence[Any], by: str) -> None:
    at: Callable[[Any], float] = float if by in _NUMBERS else places.index
    step = 1.0 if by not in _NUMBERS else min((b - a for a, b in itertools.pairwise(places)), default=1.0)
    width = 0.6 * step / max(1, len(drawn))
    styles = itertools.cycle(zip(PALETTE, _MARKS, strict=True))
    for number, one in enumerate(drawn):
        points = [(at(place), one.points[place]) for place in places if place in one.points]
        shift = width * (number - (len(drawn) - 1) / 2)
        colour, mark = _REFERENCES.get(one.poisoner) or next(styles)
        axes.errorbar(
            [x + shift for x, _ in points],
            [value.mean for _, value in points],
            yerr=[0.0 if math.isnan(value.half) else value.half for _, value in points],
            linestyle="-" if by in _NUMBERS else "none",
            linewidth=1,
            marker=mark,
            markersize=9 if mark == "_" else 5,
            capsize=2,
            color=colour,
            label=one.name,
        )
    if by not in _NUMBERS:
        labels = [str(place) for place in places]
        turned = max(map(len, labels), default=0) > 10 and len(labels) > 3
        axes.set_xticks(range(len(labels)), labels, rotation=25 if turned else 0, ha="right" if turned else "center")
