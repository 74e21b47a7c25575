"""A leaderboard's rows as a picture: one measure along one axis, a series for everything else that differs."""

from __future__ import annotations

import importlib.util
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ucbench.errors import DataError, UsageError
from ucbench.plugins.builtin import CLEAN, SHAM
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.columns import COLUMNS, column
from ucbench.results.statistics import Interval, interval

EXTRA = "ucbench[plot]"
#: Distinct for all common kinds of colour vision, on white and on near-black (after Okabe and Ito).
PALETTE = ("#0080c0", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c6bb1", "#7f7f7f")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
#: Columns that can be the axis.
AXES = (
    "dataset", "poisoner", "surrogate", "craft_labels", "labeling", "defense", "victim", "epsilon", "mixture",
    "trusted",
)  # fmt: skip


class Ends(NamedTuple):
    """The ends of the vertical axis, in the units that are shown; None leaves one to matplotlib.

    Intervals of few seeds reach beyond what there can be; they are cut there, unless a mean lies further out.
    """

    lowest: float | None = 0.0
    highest: float | None = 103.0


#: Columns that can be drawn.
MEASURES: Mapping[str, Ends] = {
    "test_accuracy": Ends(),
    "gap_removed": Ends(-15.0, 105.0),
    "drop_sham": Ends(None, None),
    "linear_probe": Ends(),
    "perturbed_test_accuracy": Ends(),
}
_NUMBERS = {"epsilon", "mixture", "trusted"}
_SERIES = ("dataset", "labeling", "defense", "victim", "norm", "epsilon", "mixture", "trusted")
_BUDGET = ("norm", "epsilon", "mixture")
_MARKS = "oDs^P*vX"
_REFERENCES = {CLEAN: ("#606060", "_"), SHAM: ("#a0a0a0", "_")}


def selected(table: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet ``COLUMN=VALUE`` conditions; of several on one column, any.

    Raises:
        UsageError: for a condition of another form or on an unknown column, and if no row meets them.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or name not in COLUMNS:
            raise UsageError(f"--where is COLUMN=VALUE with a column of results.csv, not {condition!r}.")
        wanted[name].add(value)
    for name, values in wanted.items():
        table = table[table[name].map(column(name).text).isin(values)]
    if conditions and table.empty:
        raise UsageError(f"No row has {' and '.join(conditions)}.")
    return table


class Series(NamedTuple):
    """The rows that share a mark: their name, and the interval over seeds at every place of the axis."""

    name: str
    poisoner: str
    points: dict[Any, Interval]


def series(table: pd.DataFrame, by: str, measure: str) -> list[Series]:
    """What is drawn of rows of :func:`ucbench.results.rows`: references first, then poisoners in the rows' order.

    Raises:
        UsageError: for an axis or a measure that is none of :data:`AXES` and :data:`MEASURES`.
        DataError: if no row has the measure.
    """
    if by not in AXES:
        raise UsageError(f"--by is one of {', '.join(AXES)}, not {by!r}.")
    if measure not in MEASURES:
        raise UsageError(f"--measure is one of {', '.join(MEASURES)}, not {measure!r}.")
    known = table[(table["status"] == "ok") & table[measure].notna()]
    if known.empty:
        raise DataError(f"No row has {measure}.")
    along = by == "poisoner"
    poisoner = known["poisoner"] + known["preset"].map(lambda preset: "" if preset == DEFAULT_PRESET else f"@{preset}")
    place = poisoner if along else known[by]
    marks = known.assign(
        series=_names(known, poisoner, by), place=place, of="" if along else known["poisoner"],
        drawn=column(measure).factor * known[measure],
    )  # fmt: skip
    units = marks.groupby(["of", "series", "place", "unit"], sort=False, dropna=False)["drawn"].mean()
    points: dict[tuple[str, str], dict[Any, Interval]] = defaultdict(dict)
    for (of, name, at), values in units.groupby(level=["of", "series", "place"], sort=False, dropna=False):
        points[of, name][None if pd.isna(at) else at] = interval(values)
    found = [Series(name, of, at) for (of, name), at in points.items()]
    return sorted(found, key=lambda one: list(_REFERENCES).index(one.poisoner) if one.poisoner in _REFERENCES else 9)


def _names(known: pd.DataFrame, poisoner: pd.Series, by: str) -> list[str]:
    """What distinguishes each row's mark from others, beside its place along the axis."""
    released = known[known["poisoner"] != CLEAN]  # clean rows know no budget
    varying = [
        name for name in _SERIES if name != by and (released if name in _BUDGET else known)[name].nunique(False) > 1
    ]
    several = known.groupby("poisoner")["surrogate"].transform("nunique") > 1
    labels = _brief(set(known["craft_labels"]))
    found = []
    for place, row in known.iterrows():
        parts = [] if by == "poisoner" else [poisoner[place]]
        if row["craft_labels"] not in ("none", "exploiter") and by != "craft_labels":
            parts.append(f"labels {labels[row['craft_labels']]}")
        if several[place] and by != "surrogate":
            parts.append(f"surrogate {row['surrogate']}")
        parts += [f"{name} {row[name]}" for name in varying if row["poisoner"] != CLEAN or name not in _BUDGET]
        found.append(", ".join(parts) or "all")
    return found


def _brief(labels: set[str]) -> dict[str, str]:
    """Craft labels without the model they come from, unless only that distinguishes two of them."""
    brief = {text: re.split("[:,]model=", text)[0] for text in labels}
    return brief if len(set(brief.values())) == len(labels) else {text: text for text in labels}


def _ends(measure: Ends, drawn: Sequence[Series]) -> tuple[float | None, float | None]:
    """The measure's ends, moved so far out that every mean is visible."""
    means = [point.mean for one in drawn for point in one.points.values()]
    margin = 0.05 * (max(means) - min(means))
    lowest = None if measure.lowest is None else min(measure.lowest, min(means) - margin)
    return lowest, None if measure.highest is None else max(measure.highest, max(means) + margin)


def plot(table: pd.DataFrame, out: Path, *, by: str, measure: str, title: str) -> None:
    """Draw rows into the file ``out``, in the format its ending names; the same rows give the same bytes.

    Args:
        table: rows of :func:`ucbench.results.rows`.
        by: the column along the axis; measure: the column that is drawn, as mean and 95 % interval over seeds.

    Raises:
        UsageError: if matplotlib is missing (the text has the install line) or knows no such format; and as
            :func:`series`.
        DataError: as :func:`series`.
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
        # A plot of one height, and below it the legend's lines.
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
        # Without the date and the program's version, which would make every build another file.
        unsaid = {"png": ("Software",), "svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
        metadata = dict.fromkeys(unsaid.get(out.suffix[1:].lower(), ()))
        figure.savefig(out, dpi=150, metadata=metadata or None)


def _places(drawn: Sequence[Series], by: str) -> list[Any]:
    """Where something stands: numbers by size; names in the order of the rows, `none` and `original` first.

    Names that are alike but for their numbers stand together, in the order of those.
    """
    found = list(dict.fromkeys(place for one in drawn for place in one.points if place is not None))
    if by in _NUMBERS:
        return sorted(found)
    alike: dict[str, int] = {}
    for place in found:
        alike.setdefault(_NUMBER.sub("", place), len(alike))
    return sorted(
        found,
        key=lambda place: (
            place not in ("none", "original"),
            alike[_NUMBER.sub("", place)],
            [float(number) for number in _NUMBER.findall(place)],
        ),
    )


def _draw(axes: Any, drawn: Sequence[Series], places: Sequence[Any], by: str) -> None:
    at: Callable[[Any], float] = float if by in _NUMBERS else places.index
    step = 1.0 if by not in _NUMBERS else min((b - a for a, b in pairwise(places)), default=1.0)
    width = 0.6 * step / max(1, len(drawn))
    colour = 0
    for number, one in enumerate(drawn):
        known = [place for place in places if place in one.points]
        shift = width * (number - (len(drawn) - 1) / 2)
        if one.poisoner in _REFERENCES:
            ink, mark = _REFERENCES[one.poisoner]
        else:
            ink, mark = PALETTE[colour % len(PALETTE)], _MARKS[colour % len(_MARKS)]
            colour += 1
        halves = [one.points[place].half for place in known]
        axes.errorbar(
            [at(place) + shift for place in known],
            [one.points[place].mean for place in known],
            yerr=[0.0 if math.isnan(half) else half for half in halves],
            linestyle="-" if by in _NUMBERS else "none",
            linewidth=1,
            marker=mark,
            markersize=9 if mark == "_" else 5,
            capsize=2,
            color=ink,
            label=one.name,
        )
    if by not in _NUMBERS:
        labels = [str(place) for place in places]
        turned = max(map(len, labels), default=0) > 10 and len(labels) > 3
        axes.set_xticks(range(len(labels)), labels, rotation=25 if turned else 0, ha="right" if turned else "center")
