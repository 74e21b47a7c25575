"""Charts as plotly.js figures: plain mappings with ``data`` and ``layout``, drawn by the site's script.

Colours of text, lines and paper are the script's, which knows whether the reader's screen is dark. All texts are
escaped here, since plotly.js reads a little HTML in them.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ucbench.leaderboard.plots import PALETTE
from ucbench.leaderboard.site.data import Group, Setting
from ucbench.leaderboard.site.listings import grid
from ucbench.leaderboard.site.table import fixed, number
from ucbench.results.columns import column
from ucbench.results.statistics import Interval

Figure = dict[str, Any]

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "triangle-down", "star")
#: Dark blue to yellow, even in lightness and to colour-blind eyes (a few stops of cividis).
SCALE = ((0.0, "#00224e"), (0.25, "#35456c"), (0.5, "#666970"), (0.75, "#a69d75"), (1.0, "#fee838"))
#: Longer labels are cut in charts; the tables beside them have them whole.
LONGEST = 26


class Dot(NamedTuple):
    """One mark of a chart: its full label, whether a reference, and the number with its interval."""

    label: str
    reference: bool
    value: Interval


def short(labels: Sequence[str]) -> dict[str, str]:
    """Every label cut to :data:`LONGEST` characters and escaped; those that would be equal are numbered."""
    found: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        text = label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
        count = 1
        while (unique := text if count == 1 else f"{text} ({count})") in found.values():
            count += 1
        found[label] = unique
    return {label: html.escape(text, quote=False) for label, text in found.items()}


def accuracies(series: Mapping[str, Sequence[Dot]], lines: Mapping[str, float]) -> Figure:
    """Accuracy in percent, a row a poisoner, a series a kind of mark, with intervals; vertical ``lines`` by name."""
    labels = list(dict.fromkeys(dot.label for dots in series.values() for dot in dots))
    names = short(labels)
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": title,
            "y": [names[dot.label] for dot in dots],
            "x": [_rounded(dot.value.mean) for dot in dots],
            "error_x": _errors([dot.value for dot in dots], 1.0, PALETTE[place]),
            "marker": {
                "color": PALETTE[place],
                "size": 9,
                "symbol": [f"{SYMBOLS[place]}-open" if dot.reference else SYMBOLS[place] for dot in dots],
            },
            "text": [_hover(dot.label, dot.value, 1.0) for dot in dots],
            "hovertemplate": f"%{{text}}<extra>{title}</extra>",
        }
        for place, (title, dots) in enumerate(series.items())
    ]
    layout = {
        "height": 130 + 30 * len(labels),
        "xaxis": {"title": {"text": column("test_accuracy").axis}, "range": [0, 103]},
        "yaxis": _categories([names[label] for label in labels]),
        "shapes": [
            {
                "type": "line", "xref": "x", "yref": "paper", "x0": _rounded(value), "x1": _rounded(value),
                "y0": 0, "y1": 1, "line": {"dash": "dot", "width": 1.5, "color": PALETTE[-1]},
            }
            for value in lines.values()
        ],
        "annotations": [
            {"x": _rounded(value), "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "text": name,
             "showarrow": False}
            for name, value in lines.items()
        ],
    }  # fmt: skip
    return {"data": data, "layout": _laid_out(layout)}


def heat_map(setting: Setting) -> Figure:
    """Gap removed in percent, poisoners down and defenses across."""
    labels, defenses, found = grid(setting)
    rows, across = short(list(labels)), short(defenses)
    removed = [[_removed(found.get((label, defense))) for defense in defenses] for label in labels]
    data = {
        "type": "heatmap",
        "x": [across[defense] for defense in defenses],
        "y": [rows[label] for label in labels],
        "z": [[_rounded(100 * value.mean) if value else None for value in line] for line in removed],
        "customdata": [
            [
                _hover(f"{label}, {defense}", value, 100.0) if value else ""
                for defense, value in zip(defenses, line, strict=True)
            ]
            for label, line in zip(labels, removed, strict=True)
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "zmin": 0,
        "zmax": 100,
        "xgap": 2,
        "ygap": 2,
        "colorscale": [list(stop) for stop in SCALE],
        "colorbar": {"title": {"text": "gap<br>removed, %"}, "thickness": 12, "outlinewidth": 0},
    }
    layout = {
        "height": 120 + 30 * len(labels),
        "xaxis": {"type": "category", "side": "top", "automargin": True, "showgrid": False},
        "margin": {"l": 60, "r": 20, "t": 40, "b": 10},
        # Not the trace's own texts: their grey is hard to read on the middle of the scale.
        "annotations": [
            {
                "x": across[defense],
                "y": rows[label],
                "text": fixed(100 * value.mean, 0),
                "showarrow": False,
                "font": {"color": ink(value.mean)},
            }
            for label, line in zip(labels, removed, strict=True)
            for defense, value in zip(defenses, line, strict=True)
            if value
        ],
        "yaxis": {**_categories([rows[label] for label in labels]), "showgrid": False},
    }
    return {"data": [data], "layout": _laid_out(layout)}


def cost(setting: Setting, seconds: str, title: str, *, labelled: bool) -> Figure | None:
    """Gap removed in percent against seconds (``craft_seconds`` or ``seconds``), a series a defense; None without any.

    Seconds are on a logarithmic scale; what took none is left out. If ``labelled``, the first series' marks have names.
    """
    found = [
        group
        for group in setting.groups
        if not group.is_clean and _removed(group) is not None and group.summary.means[seconds].mean > 0
    ]
    defenses = sorted({group.axes["defense"] for group in found}, key=lambda text: (text != "none", text))
    names = short([group.label for group in found])
    data = []
    for place, defense in enumerate(defenses):
        # References last: the legend has the mark of the first.
        own = sorted((group for group in found if group.axes["defense"] == defense), key=lambda group: bool(group.kind))
        removed = [group.summary.means["gap_removed"] for group in own]
        colour, symbol = PALETTE[place % len(PALETTE)], SYMBOLS[place % len(SYMBOLS)]
        data.append(
            {
                "type": "scatter",
                # Labels for one series only: more would lie upon each other.
                "mode": "markers+text" if labelled and place == 0 else "markers",
                "name": html.escape(f"defense {defense}", quote=False),
                "x": [round(group.summary.means[seconds].mean, 3) for group in own],
                "y": [_rounded(100 * value.mean) for value in removed],
                "error_y": _errors(removed, 100.0, colour),
                "marker": {
                    "color": colour,
                    "size": 9,
                    "symbol": [f"{symbol}-open" if group.kind else symbol for group in own],
                },
                "text": [names[group.label] for group in own],
                "textposition": "top center",
                "cliponaxis": False,
                "customdata": [
                    f"{_hover(group.label, value, 100.0)}<br>{group.summary.means[seconds].mean:.1f} s"
                    for group, value in zip(own, removed, strict=True)
                ],
                "hovertemplate": "%{customdata}",
            }
        )
    layout = {
        "height": 460,
        "xaxis": {"type": "log", "title": {"text": title}},
        "yaxis": {"title": {"text": column("gap_removed").axis}, "range": [-12, 112], "zeroline": True},
    }
    return {"data": data, "layout": _laid_out(layout)} if data else None


def history(points: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Test accuracy and training loss by epoch; None where nothing was recorded."""
    known = [point for point in points if _is_number(point.get("epoch"))]
    series = (("test_accuracy", "test accuracy, %", "y", 0), ("loss", "training loss", "y2", 1))
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": title,
            "x": [point["epoch"] for point in known if _is_number(point.get(name))],
            "y": [_rounded(point[name]) for point in known if _is_number(point.get(name))],
            "yaxis": axis,
            "marker": {"color": PALETTE[place], "symbol": SYMBOLS[place], "size": 7},
            "line": {"color": PALETTE[place], "dash": "solid" if place == 0 else "dot"},
        }
        for name, title, axis, place in series
        if any(_is_number(point.get(name)) for point in known)
    ]
    layout = {
        "height": 340,
        "margin": {"l": 60, "r": 60, "t": 40, "b": 50},
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "test accuracy, %"}, "range": [0, 103]},
        "yaxis2": {
            "title": {"text": "training loss"}, "overlaying": "y", "side": "right", "rangemode": "tozero",
            "showgrid": False, "tickmode": "auto",
        },
    }  # fmt: skip
    return {"data": data, "layout": _laid_out(layout)} if data else None


def ink(value: float) -> str:
    """Black or white, whichever stands out more on the colour that :data:`SCALE` has for a value from 0 to 1."""
    at = min(max(value, 0.0), 1.0)
    (low, one), (high, other) = next(pair for pair in itertools.pairwise(SCALE) if at <= pair[1][0])
    share = (at - low) / (high - low)
    channels = [
        (1 - share) * int(one[place : place + 2], 16) + share * int(other[place : place + 2], 16) for place in (1, 3, 5)
    ]
    # Relative luminance and contrast as the Web Content Accessibility Guidelines define them.
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _removed(group: Group | None) -> Interval | None:
    found = None if group is None else group.summary.means["gap_removed"]
    return None if found is None or found.n == 0 or math.isnan(found.mean) else found


def _hover(label: str, value: Interval, factor: float) -> str:
    """What is shown over a mark."""
    shown = number(value, 1, factor)
    return html.escape(f"{label}: {shown.text} % (n = {shown.n})", quote=False)


def _errors(values: Sequence[Interval], factor: float, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "array": [None if math.isnan(value.half) else _rounded(factor * value.half) for value in values],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }


def _categories(labels: Sequence[str]) -> dict[str, Any]:
    """A vertical axis that names every label, the first on top."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(labels),
        "autorange": "reversed",
        "automargin": True,
        "dtick": 1,
    }


def _laid_out(layout: dict[str, Any]) -> dict[str, Any]:
    """The layout with what all charts have in common."""
    return {
        "dragmode": False,
        "hovermode": "closest",
        "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.06, "x": 0},
        "showlegend": True,
        **layout,
    }


def _rounded(value: float) -> float:
    return round(float(value), 3)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
