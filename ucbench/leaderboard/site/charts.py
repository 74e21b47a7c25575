"""The charts of the site: forest plots, heat maps, effect against cost, and histories, as inline SVG and tables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from ucbench.leaderboard.forest import PARTS, Row
from ucbench.leaderboard.marks import PALETTE, Mark, mark_of
from ucbench.leaderboard.site import svg
from ucbench.leaderboard.site.addresses import method_page
from ucbench.leaderboard.site.data import Setting
from ucbench.leaderboard.site.table import number
from ucbench.plugins.builtin import CLEAN
from ucbench.results.statistics import Interval

#: Dark blue to yellow, perceptually uniform and safe for colour-blind readers (some stops of cividis).
SCALE = ((0.0, "#00224e"), (0.25, "#35456c"), (0.5, "#666970"), (0.75, "#a69d75"), (1.0, "#fee838"))
_TICKS = (0.0, 25.0, 50.0, 75.0, 100.0)
_PERCENT = tuple((tick, f"{tick:g}") for tick in _TICKS)


@dataclass(frozen=True)
class ForestRow:
    """One poisoner in a forest plot: its place, name, marks, and numbers as text."""

    rank: str
    label: str
    symbol: Markup
    track: Markup
    worst: str
    undefended: str
    kind: str
    href: str


@dataclass(frozen=True)
class Forest:
    """A forest plot of attacker accuracy in percent, over a common scale: parts with label access, heading and rows."""

    scale: Markup
    parts: tuple[tuple[str, str, tuple[ForestRow, ...]], ...]


def forest(setting: Setting, root: str) -> Forest | None:
    """The setting's :mod:`ucbench.leaderboard.forest` as a table; None without a row.

    Vertical lines show clean accuracy and chance. Marks have the meaning of :mod:`ucbench.leaderboard.forest_scene`.

    Args:
        root: path to the site's root, for links to pages of methods.
    """
    if (drawn := setting.forest) is None:
        return None
    clean = math.nan if drawn.clean is None else drawn.clean.interval.mean
    named = ((drawn.chance, "chance"), (clean, CLEAN))
    lines = [(_rounded(value), name) for value, name in named if not math.isnan(value)]
    places = [place for place, _ in lines]
    parts = (
        (PARTS.get(title, ""), title, tuple(_forest_row(row, setting, places, root) for row in rows))
        for title, rows in drawn.groups.items()
    )
    return Forest(svg.scale(_PERCENT, lines), tuple(parts))


def _forest_row(row: Row, setting: Setting, lines: Sequence[float], root: str) -> ForestRow:
    entry, undefended = row.entry, row.accuracy.interval
    assert entry is not None  # a site has the entries of its board
    group = setting.undefended[entry]
    drawn = [value_of(undefended, row.mark, f"{row.name}, no defense")]
    if row.worst:
        text = f"{row.name}, worst case ({entry.defense})"
        drawn.insert(0, replace(value_of(row.worst, row.mark._replace(is_open=True), text), low=math.nan))
    return ForestRow(
        entry.rank,
        row.name,
        svg.symbol(row.mark),
        svg.track(drawn, lines, grid=_TICKS),
        number(entry.worst, 1).text,
        number(undefended, 1).text,
        group.kind,
        root + method_page("poisoner", group.base),
    )


def value_of(value: Interval, look: Mark, name: str) -> svg.Value:
    """An accuracy in percent with its interval, on a scale from 0 to 100."""
    low, high = (_rounded(end) if value.is_shown else math.nan for end in (value.low, value.high))
    return svg.Value(_rounded(value.mean), low, high, look, f"{name}: {number(value, 1).text} % (n = {value.n})")


def small_forest(setting: Setting) -> Forest | None:
    """The first three rows of each label access in a forest plot, for a card."""
    full = forest(setting, "")
    if full is None:
        return None
    rows = [row for access, _, part in full.parts if access for row in part[:3]]
    return Forest(full.scale, (("", "", tuple(rows)),)) if rows else None


def fill(value: float) -> tuple[str, str]:
    """The colour of a value from 0 to 1 on :data:`SCALE`, and black or white, whichever has more contrast to it."""
    at = min(max(value, 0.0), 1.0)
    (low, one), (high, other) = next(pair for pair in itertools.pairwise(SCALE) if at <= pair[1][0])
    share = (at - low) / (high - low)
    channels = [
        round((1 - share) * int(one[place : place + 2], 16) + share * int(other[place : place + 2], 16))
        for place in (1, 3, 5)
    ]
    # Relative luminance and contrast as the Web Content Accessibility Guidelines define them.
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    ink = "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"
    return f"#{channels[0]:02x}{channels[1]:02x}{channels[2]:02x}", ink


@dataclass(frozen=True)
class Candidate:
    """A method in a chart of effect against cost: what it achieves in percent, and its seconds."""

    name: str
    label: str
    effect: Interval
    seconds: float


def tradeoff(
    candidates: Iterable[Candidate], across: str, up: str, name: str, strong: str = "", factor: float = 100.0
) -> Markup | None:
    """Effect against cost, with the line of those that no other beats in both; None without two of known cost.

    Args:
        across, up: titles of the axes; seconds are on a logarithmic scale.
        strong: the method that the page is about.
    """
    known = [one for one in candidates if one.seconds > 0 and one.effect.n and not math.isnan(one.effect.mean)]
    if len(known) < 2:
        return None
    logs = [math.log10(one.seconds) for one in known]
    first, last = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)

    def x(seconds: float) -> float:
        return _rounded(100 * (math.log10(seconds) - first) / (last - first))

    points = []
    for one in known:
        text = f"{one.label}: {number(one.effect, 0, factor).text} %, {one.seconds:.3g} s"
        height = min(max(factor * one.effect.mean, 0.0), 100.0)
        point = svg.Point(x(one.seconds), _rounded(height), mark_of(one.name), text, one.label, one.name == strong)
        points.append(point)
    best = -math.inf
    path: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if point.y > best:
            path += [(point.x, best), (point.x, point.y)] if path else [(point.x, point.y)]
            best = point.y
    path.append((100.0, best))
    ticks = tuple((x(10.0**power), _seconds(power)) for power in range(first, last + 1))
    drawn = svg.plane(points, svg.Axis(across, ticks), svg.Axis(up, _PERCENT), [(path, "front")], name=name)
    return drawn + svg.legend(points)


def _seconds(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def protectors(setting: Setting) -> list[Candidate]:
    """The competing poisoners of a setting with their effects; none that lacks a ranked defense.

    The effect is that in the worst case, which is without defense if nothing is ranked.
    """
    return [
        Candidate(group.base, group.label, entry.effect, group.summary.means["craft_seconds"].mean)
        for block in setting.blocks
        for entry in block.entries
        if (group := setting.undefended.get(entry)) and not group.kind and entry.effect
    ]


def history(points: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Test accuracy and training loss by epoch; None without two recorded epochs."""
    known = [point for point in points if point.get("epoch") is not None]
    last = max((point["epoch"] for point in known), default=0)
    losses = [point["loss"] for point in known if point.get("loss") is not None]
    top = max(losses, default=0.0)
    if len(known) < 2 or last <= 0:
        return None
    marks, paths = [], []
    series = [("test_accuracy", 1.0, Mark(PALETTE[0], "circle"), "test accuracy", " %")]
    if top > 0:
        series.append(("loss", 100 / top, Mark(PALETTE[1], "square"), "training loss", ""))
    for name, factor, look, title, unit in series:
        line = []
        for point in known:
            if point.get(name) is not None:
                x, y = _rounded(100 * point["epoch"] / last), _rounded(min(max(factor * point[name], 0), 100))
                text = f"{title}, epoch {point['epoch']}: {point[name]:.4g}{unit}"
                marks.append(svg.Point(x, y, look, text))
                line.append((x, y))
        if marks and line:
            marks[-1] = replace(marks[-1], label=title)
        paths.append((line, f"series-{look.shape}"))
    ticks = tuple(
        (_rounded(100 * point["epoch"] / last), f"{point['epoch']:g}") for point in known[:: -(-len(known) // 8)]
    )
    return svg.plane(
        marks,
        svg.Axis("epoch", ticks),
        svg.Axis(f"test accuracy, %; training loss, 100 is {top:.3g}" if top > 0 else "test accuracy, %", _PERCENT),
        paths,
        height=200,
        name="Test accuracy and training loss by epoch; the table has the numbers.",
    )


def _rounded(value: float) -> float:
    return round(float(value), 2)
