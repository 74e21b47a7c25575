"""Charts as plotly.js figures: plain mappings with ``data`` and ``layout``, drawn by the site's script.

The script sets the colours of text, lines and background, for light and dark screens. Texts are escaped here, since
plotly.js interprets some HTML in them.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ucbench.leaderboard.plots import PALETTE
from ucbench.leaderboard.site.data import Group, Setting
from ucbench.leaderboard.site.listings import grid
from ucbench.leaderboard.site.table import fixed, number
from ucbench.plugins.builtin import CLEAN, NO_DEFENSE
from ucbench.results.columns import column
from ucbench.results.statistics import Interval

Figure = dict[str, Any]

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "triangle-down", "star")
#: Dark blue to yellow, perceptually uniform and safe for colour-blind readers (some stops of cividis).
SCALE = ((0.0, "#00224e"), (0.25, "#35456c"), (0.5, "#666970"), (0.75, "#a69d75"), (1.0, "#fee838"))
#: Charts shorten longer labels; the tables show them in full.
LONGEST = 26


def short(labels: Sequence[str]) -> dict[str, str]:
    """Every label shortened to :data:`LONGEST` characters and escaped; equal ones are numbered."""
    shortened: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        text = label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
        count = 1
        while (unique := text if count == 1 else f"{text} ({count})") in shortened.values():
            count += 1
        shortened[label] = unique
    return {label: html.escape(text, quote=False) for label, text in shortened.items()}


def accuracies(setting: Setting, ranked: Sequence[str] | None) -> Figure | None:
    """Attacker accuracy in percent without defense and in the worst case, one row per poisoner; None without any.

    Vertical lines show clean accuracy and chance.
    """
    undefended = [group for group in setting.groups if group.axes["defense"] == NO_DEFENSE and group.summary.done]
    series: dict[str, list[tuple[Group, Interval]]] = {
        "no defense": [(group, group.summary.means["test_accuracy"]) for group in undefended if not group.is_clean]
    }
    if ranked != (NO_DEFENSE,):  # otherwise both series are the same
        series["worst case over the ranked defenses"] = [
            (group, entry.worst)
            for board in setting.boards
            for entry in board.entries
            if entry.worst and (group := board.undefended.get(entry.name))
        ]
    series = {title: sorted(marks, key=lambda mark: mark[1].mean) for title, marks in series.items() if marks}
    if not series:
        return None
    labels = list(dict.fromkeys(group.label for marks in series.values() for group, _ in marks))
    names = short(labels)
    data = [
        {
            **_marks([group for group, _ in marks], place),
            "mode": "markers",
            "name": title,
            "y": [names[group.label] for group, _ in marks],
            "x": [_rounded(value.mean) for _, value in marks],
            "error_x": _errors([value for _, value in marks], 1.0, PALETTE[place]),
            "text": [_hover(group.label, value, 1.0) for group, value in marks],
            "hovertemplate": f"%{{text}}<extra>{title}</extra>",
        }
        for place, (title, marks) in enumerate(series.items())
    ]
    lines = {}
    for group in undefended:
        if group.is_clean:
            lines[CLEAN] = _rounded(group.summary.means["test_accuracy"].mean)
        lines["chance"] = _rounded(group.summary.means["chance"].mean)
    layout = {
        "height": 130 + 30 * len(labels),
        "xaxis": {"title": {"text": column("test_accuracy").axis}, "range": [0, 103]},
        "yaxis": _categories([names[label] for label in labels]),
        "shapes": [
            {
                "type": "line", "xref": "x", "yref": "paper", "x0": value, "x1": value, "y0": 0, "y1": 1,
                "line": {"dash": "dot", "width": 1.5, "color": PALETTE[-1]},
            }
            for value in lines.values()
        ],
        "annotations": [
            {"x": value, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "text": name, "showarrow": False}
            for name, value in lines.items()
        ],
    }  # fmt: skip
    return {"data": data, "layout": _laid_out(layout)}


def _marks(groups: Sequence[Group], place: int) -> Figure:
    """The marks of one series; open ones for references and oracles."""
    colour, symbol = PALETTE[place % len(PALETTE)], SYMBOLS[place % len(SYMBOLS)]
    symbols = [f"{symbol}-open" if group.kind else symbol for group in groups]
    return {"type": "scatter", "marker": {"color": colour, "size": 9, "symbol": symbols}}


def heat_map(setting: Setting) -> Figure:
    """Gap removed in percent, with a row per poisoner and a column per defense."""
    labels, defenses, groups = grid(setting)
    rows, across = short(list(labels)), short(defenses)
    removed = [[_removed(groups.get((label, defense))) for defense in defenses] for label in labels]
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
        # The trace's own texts are grey, which is hard to read on the middle of the scale.
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


def cost(setting: Setting, seconds: str, title: str, *, labels: bool) -> Figure | None:
    """Gap removed in percent against ``craft_seconds`` or ``seconds``, one series per defense; None without any.

    The axis of seconds is logarithmic, without zeros. With ``labels``, the marks of the first series have names.
    """
    groups = [
        group
        for group in setting.groups
        if not group.is_clean and _removed(group) is not None and group.summary.means[seconds].mean > 0
    ]
    # References last: the legend shows the first mark.
    groups.sort(key=lambda group: bool(group.kind))
    defenses = sorted({group.axes["defense"] for group in groups}, key=lambda text: (text != NO_DEFENSE, text))
    names = short([group.label for group in groups])
    data = []
    for place, defense in enumerate(defenses):
        members = [group for group in groups if group.axes["defense"] == defense]
        removed = [group.summary.means["gap_removed"] for group in members]
        spent = [group.summary.means[seconds].mean for group in members]
        data.append(
            {
                **_marks(members, place),
                # Names of more series would overlap.
                "mode": "markers+text" if labels and place == 0 else "markers",
                "name": html.escape(f"defense {defense}", quote=False),
                "x": [round(value, 3) for value in spent],
                "y": [_rounded(100 * value.mean) for value in removed],
                "error_y": _errors(removed, 100.0, PALETTE[place % len(PALETTE)]),
                "text": [names[group.label] for group in members],
                "textposition": "top center",
                "cliponaxis": False,
                "customdata": [
                    f"{_hover(group.label, value, 100.0)}<br>{time:.1f} s"
                    for group, value, time in zip(members, removed, spent, strict=True)
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
    """Test accuracy and training loss by epoch; None without recorded epochs."""
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
    """Black or white, whichever has more contrast to the colour of a value from 0 to 1 on :data:`SCALE`."""
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
    removed = None if group is None else group.summary.means["gap_removed"]
    return None if removed is None or removed.n == 0 or math.isnan(removed.mean) else removed


def _hover(label: str, value: Interval, factor: float) -> str:
    """The text shown when the pointer is over a mark."""
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
    """A vertical axis with all labels, the first on top."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(labels),
        "autorange": "reversed",
        "automargin": True,
        "dtick": 1,
    }


def _laid_out(layout: dict[str, Any]) -> dict[str, Any]:
    """The layout with the settings common to all charts."""
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
