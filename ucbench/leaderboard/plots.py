"""Plots of a leaderboard's rows: one measure along one axis, with one series per combination of other differences."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ucbench.errors import DataError, UsageError
from ucbench.leaderboard.facets import Panel, Series, panels
from ucbench.leaderboard.marks import GREY, INK, SHAPES, Mark, marks
from ucbench.leaderboard.scene import need_matplotlib, save
from ucbench.matrix.axes import AXIS, GROUP_COLUMNS
from ucbench.matrix.names import differences, poisoner_text
from ucbench.plugins.builtin import ADDED_REFERENCES, CLEAN
from ucbench.plugins.grammar import base_name
from ucbench.results.columns import BUDGET, COLUMNS, EFFECTS, ENTRY, PLOT_AXES, PLOTTED, SETTING, column, values_of
from ucbench.results.gate import Gate
from ucbench.results.statistics import Interval, t_interval
from ucbench.results.table import by_unit, check_worlds, dicts, grouped, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NUMBERS = {name for name in PLOT_AXES if not AXIS[name].type.is_text}


class Ends(NamedTuple):
    """The ends of the vertical axis, in displayed units; None leaves an end to matplotlib.

    Intervals of few seeds can reach beyond possible values; the ends clip them, but never a mean or a value.
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
#: The look of series that are of no one poisoner, and how series of one poisoner are filled: opacities.
_SERIES, _FILLS = Mark(GREY, "circle"), ("1", "none", "0.35")
#: The values behind a mean of two, as forest plots have them; and their name in the legend.
_DOT: Any = {"linestyle": "none", "marker": "o", "markersize": 3, "alpha": 0.75}
_DOTS = "dots: both of two values"
_STYLE: Any = {
    "svg.hashsalt": "ucbench",
    "text.parse_math": False,  # names are arbitrary text
    "svg.fonttype": "none",
    "font.size": 9,
    "savefig.transparent": True,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


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
        table = table[plain(table)[name].map(column(name).text).isin(values)]
    if conditions and table.empty:
        raise UsageError(f"No row has {' and '.join(conditions)}.")
    return table


def stated(table: pd.DataFrame, measure: str, verdicts: Sequence[Gate]) -> pd.DataFrame:
    """The rows whose ``measure`` says something: of an effect, those of settings that passed the gate.

    Args:
        verdicts: the gates of the settings, as of :func:`ucbench.leaderboard.gates.gates_of`.

    Raises:
        DataError: if there is no such row.
    """
    if measure not in EFFECTS:
        return table
    passed = {values_of(gate.shared, SETTING) for gate in verdicts if gate.passed}
    rows = table[[values_of(row, SETTING) in passed for row in dicts(table)]]
    if rows.empty:
        raise DataError(f"No setting passed the gate, so {measure} says nothing here. Draw test_accuracy.")
    return rows


def series(table: pd.DataFrame, by: str, measure: str) -> list[Series]:
    """The series of rows of :func:`ucbench.results.table.rows`: references first, then poisoners in the rows' order.

    Raises:
        UsageError: for an axis or a measure that is not one of ``PLOT_AXES`` and ``PLOTTED``.
        DataError: if no row has the measure, or rows that would be averaged differ in images or numerics.
    """
    for option, name, known in ("--by", by, PLOT_AXES), ("--measure", measure, PLOTTED):
        if name not in known:
            raise UsageError(f"{option} is one of {', '.join(known)}, not {name!r}.")
    drawn = table[(table["status"] == "ok") & table[measure].notna()]
    if drawn.empty:
        raise DataError(f"No row has {measure}.")
    check_worlds(drawn)
    drawn = drawn.assign(
        shown=list(map(poisoner_text, dicts(drawn))),
        value=column(measure).factor * drawn[measure],
    )
    telling_apart = _telling_apart(drawn, by)
    drawn = drawn.assign(
        series=["\n".join(map(": ".join, one.items())) for one in telling_apart],
        of="" if by == "poisoner" else drawn["shown"],
        place=drawn["shown" if by == "poisoner" else by],
    )
    points: dict[tuple[str, str], dict[Any, Interval]] = defaultdict(dict)
    for shared, members in grouped(drawn, ["of", "series", "place"]):
        points[shared["of"], shared["series"]][shared["place"]] = t_interval(by_unit(members, ["value"])["value"])
    by_text = dict(zip(drawn["series"], telling_apart, strict=True))
    return sorted(
        (Series(of, by_text[name], values) for (of, name), values in points.items()),
        key=lambda one: [*ADDED_REFERENCES, one.poisoner].index(one.poisoner),
    )


def _telling_apart(rows: pd.DataFrame, by: str) -> list[dict[str, str]]:
    """For each row, all differences to rows of the same poisoner with other marks, except that along the axis."""
    released = rows[rows["poisoner"] != CLEAN]  # clean rows have no budget
    varying = [
        name
        for name in GROUP_COLUMNS
        if name not in (*ENTRY, by) and (released if name in BUDGET else rows)[name].nunique(False) > 1
    ]
    lines = dicts(rows)
    along = "labels" if by == "craft_labels" else by
    return [
        {what: text for what, text in one.items() if what != along}
        | {name: str(row[name]) for name in varying if row["poisoner"] != CLEAN or name not in BUDGET}
        for row, one in zip(lines, differences(lines), strict=True)
    ]


def _ends(measure: Ends, drawn: Sequence[Series]) -> tuple[float | None, float | None]:
    """The measure's ends, extended so that every mean is visible, and both values behind one of two."""
    points = [point for one in drawn for point in one.points.values()]
    values = [value for point in points for value in (point.mean, *_both(point))]
    margin = 0.05 * (max(values) - min(values))
    lowest = None if measure.lowest is None else min(measure.lowest, min(values) - margin)
    return lowest, None if measure.highest is None else max(measure.highest, max(values) + margin)


def _both(point: Interval) -> tuple[float, ...]:
    """The values behind a mean of two, whose interval would say little; none of other means."""
    return point.both if point.n == 2 else ()


def plot(table: pd.DataFrame, out: Path, *, by: str, measure: str, title: str) -> None:
    """Draw rows into the file ``out``, in the format its ending names; the same rows give the same bytes.

    More than eight series are divided into panels, see :func:`ucbench.leaderboard.facets.panels`. The ground is
    transparent, and text is grey, for white and near-black pages.

    Args:
        table: rows of :func:`ucbench.results.table.rows`.
        by: the column along the axis.
        measure: the column to draw, as mean and 95 % interval over seeds; of two, as mean and both values.

    Raises:
        UsageError, DataError: as :func:`series`.
        UsageError: if matplotlib is missing (the text has the install line) or does not support the format.
    """
    drawn = series(table, by, measure)
    need_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    endings = Figure().canvas.get_supported_filetypes()
    if out.suffix[1:].lower() not in endings:
        raise UsageError(f"{out} has to end in one of {', '.join(sorted(endings))}.")
    with mpl.rc_context(_STYLE):
        save(_figure(drawn, by, measure, title), out)


def _figure(drawn: Sequence[Series], by: str, measure: str, title: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    divided = panels(drawn)
    places = _places(drawn, by)
    columns = min(len(divided), 1 if len(places) > 8 else 2 if len(places) > 4 or len(divided) < 5 else 3)
    lines = -(-len(divided) // columns)
    width = max(6.0, columns * max(3.2, 1.1 * len(places) + 0.8))
    names = list(dict.fromkeys(name for panel in divided for name in panel.series))
    if any(_both(point) for one in drawn for point in one.points.values()):
        names.append(_DOTS)
    across = min(len(names), max(1, int(width // (0.5 + 0.075 * max(map(len, names))))))
    # A panel has a fixed height; the lines of its title and of the legend add to it.
    height = lines * (3.6 if lines == 1 else 2.7) + 0.19 * -(-len(names) // across) + 0.3
    figure = Figure(figsize=(width, height), layout="constrained")
    looks = _looks(divided)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for place, axes in enumerate(grid[: len(divided)]):
        if place + columns >= len(divided):
            axes.set_xlabel(column(by).heading)
    handles: dict[str, Any] = {_DOTS: Line2D([], [], color=GREY, **_DOT)}
    for axes, panel in itertools.zip_longest(grid, divided):
        if panel is None:
            axes.set_visible(False)
            continue
        _draw(axes, panel, places, by, looks)
        for name, one in panel.series.items():
            look = looks[one.poisoner, name]
            # A name without its poisoner, which is in the title or along the axis, may stand for several.
            is_own = one.poisoner and name.startswith(one.poisoner)
            handles[name] = _points(axes, {}, look if is_own else look._replace(mark=_SERIES), "none")
        axes.set_title(textwrap.fill(panel.title, int(width / columns * 11)), fontsize=9, loc="left")
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelbottom=True)
    grid[0].set_ylim(*_ends(MEASURES[measure], drawn))
    figure.supylabel(column(measure).axis, fontsize=9)
    figure.suptitle(textwrap.fill(title, int(width * 11)), fontsize=10)  # about eleven characters an inch
    ordered = [handles[name] for name in names]
    figure.legend(ordered, names, loc="outside lower center", ncols=across, frameon=False, fontsize=8)
    return figure


class _Look(NamedTuple):
    """Mark of a series, and which of the series of its poisoner it is."""

    mark: Mark
    variant: int


def _looks(divided: Sequence[Panel]) -> dict[tuple[str, str], _Look]:
    """The look of each poisoner and name: the poisoner's mark, with a fill of its own among several of one."""
    drawn = {(one.poisoner, name): None for panel in divided for name, one in panel.series.items()}
    marked = marks(poisoner for poisoner, _ in drawn if poisoner)
    bases: dict[str, int] = defaultdict(int)
    looks = {}
    for poisoner, name in drawn:
        base = base_name(poisoner)
        looks[poisoner, name] = _Look(marked.get(poisoner, _SERIES), bases[base])
        bases[base] += 1
    return looks


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


def _draw(axes: Any, panel: Panel, places: Sequence[Any], by: str, looks: Mapping[tuple[str, str], _Look]) -> None:
    at: Callable[[Any], float] = float if by in _NUMBERS else places.index
    step = 1.0 if by not in _NUMBERS else min((b - a for a, b in itertools.pairwise(places)), default=1.0)
    width = 0.6 * step / max(1, len(panel.series))
    for number, (name, one) in enumerate(panel.series.items()):
        look = looks[one.poisoner, name]
        shift = width * (number - (len(panel.series) - 1) / 2)
        points = {at(place) + shift: one.points[place] for place in places if place in one.points}
        if by == "poisoner":  # every point has the mark of its own place
            for place, mark in marks(one.points).items():
                _points(axes, {at(place) + shift: one.points[place]}, look._replace(mark=mark), "none")
        else:
            _points(axes, points, look, "-" if by in _NUMBERS else "none")
    if by not in _NUMBERS:
        labels = [str(place) for place in places]
        turned = max(map(len, labels), default=0) > 10 and len(labels) > 3
        axes.set_xticks(range(len(labels)), labels, rotation=25 if turned else 0, ha="right" if turned else "center")


def marker(shape: str) -> Any:
    """A shape of :data:`ucbench.leaderboard.marks.SHAPES` for matplotlib."""
    from matplotlib.path import Path as Outline

    corners = SHAPES[shape]
    return Outline([(x, -y) for x, y in (*corners, corners[0])], closed=True) if corners else "o"


def _points(axes: Any, points: Mapping[float, Interval], look: _Look, line: str) -> Any:
    shapes = list(SHAPES)
    shape = shapes[(shapes.index(look.mark.shape) + look.variant // len(_FILLS)) % len(shapes)]
    fill = "none" if look.mark.is_open else _FILLS[look.variant % len(_FILLS)]
    dots = [(at, value) for at, point in points.items() for value in _both(point)]
    if dots:
        axes.plot(*zip(*dots, strict=True), color=look.mark.colour, **_DOT)
    return axes.errorbar(
        list(points),
        [value.mean for value in points.values()],
        yerr=[value.half if value.is_shown else math.nan for value in points.values()],
        linestyle=line,
        linewidth=1,
        marker=marker(shape),
        markersize=6,
        markerfacecolor=fill if fill == "none" else (look.mark.colour, float(fill)),
        capsize=2,
        color=look.mark.colour,
    )
