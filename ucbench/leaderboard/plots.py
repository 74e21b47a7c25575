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
from statistics import fmean
from typing import Any, NamedTuple

from ucbench.errors import DataError, UsageError
from ucbench.plugins.builtin import CLEAN, SHAM
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results import COLUMNS, Row
from ucbench.results.statistics import Interval, interval

EXTRA = "ucbench[plot]"
#: Told apart by all common kinds of colour vision, on white and on near-black (after Okabe and Ito).
PALETTE = ("#0080c0", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c6bb1", "#7f7f7f")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
#: Columns that can be the axis.
AXES = (
    "dataset", "poisoner", "surrogate", "craft_labels", "labeling", "defense", "victim", "epsilon", "mixture",
    "trusted",
)  # fmt: skip


class Measure(NamedTuple):
    """A column that can be drawn: what the vertical axis says, the factor to percent, and the axis' ends.

    Intervals of few seeds reach beyond what there can be; they are cut there, unless a mean lies further out. None
    leaves an end to matplotlib.
    """

    title: str
    factor: float = 1.0
    lowest: float | None = 0.0
    highest: float | None = 103.0


MEASURES: Mapping[str, Measure] = {
    "test_accuracy": Measure("clean test accuracy, %"),
    "gap_removed": Measure("gap removed, %", 100.0, -15.0, 105.0),
    "drop_sham": Measure("accuracy lost against sham, points", lowest=None, highest=None),
    "linear_probe": Measure("linear probe to the original classes, %"),
    "perturbed_test_accuracy": Measure("accuracy on perturbed test pictures, %"),
}
_NUMBERS = {"epsilon", "mixture", "trusted"}
_SERIES = ("dataset", "labeling", "defense", "victim", "norm", "epsilon", "mixture", "trusted")
_MARKS = "oDs^P*vX"
_REFERENCES = {CLEAN: ("#606060", "_"), SHAM: ("#a0a0a0", "_")}


def selected(table: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows that meet ``COLUMN=VALUE`` conditions; of several on one column, any.

    Raises:
        UsageError: for a condition of another form or on an unknown column, and if no row meets them.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not equals or column not in COLUMNS:
            raise UsageError(f"--where is COLUMN=VALUE with a column of results.csv, not {condition!r}.")
        wanted[column].add(value)
    found = [row for row in table if all(_text(row[column]) in values for column, values in wanted.items())]
    if conditions and not found:
        raise UsageError(f"No row has {' and '.join(conditions)}.")
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Series(NamedTuple):
    """The rows that share a mark: their name, and the interval over seeds at every place of the axis."""

    name: str
    poisoner: str
    points: dict[Any, Interval]


def series(table: Sequence[Row], by: str, measure: str) -> list[Series]:
    """What is drawn of rows of :func:`ucbench.results.rows`: references first, then poisoners in the rows' order.

    Raises:
        UsageError: for an axis or a measure that is none of :data:`AXES` and :data:`MEASURES`.
        DataError: if no row has the measure.
    """
    if by not in AXES:
        raise UsageError(f"--by is one of {', '.join(AXES)}, not {by!r}.")
    if measure not in MEASURES:
        raise UsageError(f"--measure is one of {', '.join(MEASURES)}, not {measure!r}.")
    known = [row for row in table if row["status"] == "ok" and row[measure] is not None]
    if not known:
        raise DataError(f"No row has {measure}.")
    varying = [name for name in _SERIES if name != by and len({row[name] for row in known if _told(row, name)}) > 1]
    surrogates: dict[str, set[str]] = defaultdict(set)
    for row in known:
        surrogates[row["poisoner"]].add(row["surrogate"])
    told = _brief({row["craft_labels"] for row in known})
    # Trainings on one release are averaged first, being no new draw: craft seeds are what an interval is over.
    values: dict[tuple[str, str], dict[Any, dict[int, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in known:
        name = _name(row, by, varying, told[row["craft_labels"]], several=len(surrogates[row["poisoner"]]) > 1)
        along = by == "poisoner"
        place = row["poisoner"] + _preset(row) if along else row[by]
        seed = row["train_seed"] if row["craft_seed"] is None else row["craft_seed"]
        values["" if along else row["poisoner"], name][place][seed].append(MEASURES[measure].factor * row[measure])
    found = [
        Series(
            name, poisoner, {place: interval([fmean(one) for one in seeds.values()]) for place, seeds in places.items()}
        )
        for (poisoner, name), places in values.items()
    ]
    return sorted(found, key=lambda one: list(_REFERENCES).index(one.poisoner) if one.poisoner in _REFERENCES else 9)


def _told(row: Row, column: str) -> bool:
    """Whether the column tells this row from others: clean rows know no budget."""
    return not (row["poisoner"] == CLEAN and column in ("norm", "epsilon", "mixture"))


def _brief(labels: set[str]) -> dict[str, str]:
    """Craft labels without the model they look through, unless only that tells two of them apart."""
    brief = {text: re.split("[:,]model=", text)[0] for text in labels}
    return brief if len(set(brief.values())) == len(labels) else {text: text for text in labels}


def _name(row: Row, by: str, varying: Sequence[str], told: str, *, several: bool) -> str:
    """What tells a row's mark from others; its surrogate only if its poisoner has ``several``."""
    parts = [] if by == "poisoner" else [row["poisoner"] + _preset(row)]
    if row["craft_labels"] not in ("none", "exploiter") and by != "craft_labels":
        parts.append(f"told {told}")
    if several and by != "surrogate":
        parts.append(f"through {row['surrogate']}")
    parts += [f"{column} {row[column]}" for column in varying if _told(row, column)]
    return ", ".join(parts) or "all"


def _ends(measure: Measure, drawn: Sequence[Series]) -> tuple[float | None, float | None]:
    """The measure's ends, moved so far out that every mean is in the picture."""
    means = [point.mean for one in drawn for point in one.points.values()]
    margin = 0.05 * (max(means) - min(means))
    lowest = None if measure.lowest is None else min(measure.lowest, min(means) - margin)
    return lowest, None if measure.highest is None else max(measure.highest, max(means) + margin)


def _preset(row: Row) -> str:
    return "" if row["preset"] in (DEFAULT_PRESET, None) else f"@{row['preset']}"


def plot(table: Sequence[Row], out: Path, *, by: str, measure: str, title: str) -> None:
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
        axes.set_ylabel(MEASURES[measure].title)
        axes.set_ylim(*_ends(MEASURES[measure], drawn))
        axes.set_xlabel(by.replace("_", " "))
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
