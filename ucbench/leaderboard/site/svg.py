"""Inline SVG that is as wide as its place: horizontal positions are percent, vertical ones and text are pixels.

So marks and text keep their size on any screen and in print, where drawings of a fixed width would shrink. Colours of
text and lines come from the style sheet, for light and dark; colours of marks are attributes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from ucbench.leaderboard.marks import Mark
from ucbench.leaderboard.scene import mark_geometry, mark_svg

#: Radius of a mark in pixels.
_RADIUS = 4.8


@dataclass(frozen=True)
class Value:
    """One value with its interval.

    Attributes:
        x, low, high: in percent of the width; ``low`` and ``high`` are NaN without an interval.
        look: colour and shape.
        text: shown when the pointer is over it.
    """

    x: float
    low: float
    high: float
    look: Mark
    text: str


def track(values: Iterable[Value], lines: Iterable[float], grid: Iterable[float]) -> Markup:
    """One row of a forest plot: values with horizontal intervals over vertical ``lines`` and a ``grid``, in percent."""
    height, middle = 26, 13
    parts = [_vertical(x, height, "grid") for x in grid] + [_vertical(x, height, "ref") for x in lines]
    for value in values:
        parts.append(f"<g><title>{escape(value.text)}</title>")
        if not math.isnan(value.low):
            low, high = max(value.low, -1.0), min(value.high, 101.0)
            parts.append(_line(low, middle, high, middle, value.look.colour))
        parts.append(f"{_mark(value.x, middle, value.look)}</g>")
    return Markup(f'<svg class="track" width="100%" height="{height}" aria-hidden="true">{"".join(parts)}</svg>')


def scale(ticks: Iterable[tuple[float, str]], lines: Iterable[tuple[float, str]]) -> Markup:
    """The axis above tracks: ``ticks``, and above them the names of ``lines``, by place in percent."""
    parts = [_label(x, 12, name, _anchor(x)) for x, name in lines]
    parts += [_label(x, 28, name, _anchor(x), "tick") for x, name in ticks]
    return Markup(f'<svg class="track" width="100%" height="32" aria-hidden="true">{"".join(parts)}</svg>')


@dataclass(frozen=True)
class Point:
    """A mark in a plane, with a label; ``x`` and ``y`` in percent from the left and the bottom."""

    x: float
    y: float
    look: Mark
    text: str
    label: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Axis:
    """A title, and ticks as places in percent with their texts."""

    title: str
    ticks: tuple[tuple[float, str], ...]


def plane(
    points: Sequence[Point],
    across: Axis,
    up: Axis,
    paths: Iterable[tuple[Sequence[tuple[float, float]], str]] = (),
    height: int = 300,
    name: str = "",
) -> Markup:
    """Points over two axes; ``paths`` are lines through places in percent, each with a class of the style sheet.

    Args:
        name: the text for those who cannot see it.
    """

    def y(percent: float) -> float:
        return round(height * (1 - percent / 100), 1)

    parts = [
        f'<line class="grid" x1="0" x2="100%" y1="{y(place)}" y2="{y(place)}"/>'
        f'<text class="tick" x="-6" y="{y(place) + 4}" text-anchor="end">{escape(text)}</text>'
        for place, text in up.ticks
    ]
    for place, text in across.ticks:
        parts.append(_vertical(place, height, "grid"))
        parts.append(_label(place, height + 17, text, "middle", "tick"))
    for path, kind in paths:
        for (x1, y1), (x2, y2) in itertools.pairwise(path):
            parts.append(f'<line class="{kind}" x1="{x1:.4g}%" y1="{y(y1)}" x2="{x2:.4g}%" y2="{y(y2)}"/>')
    for point in points:
        parts.append(f"<g><title>{escape(point.text)}</title>{_mark(point.x, y(point.y), point.look)}</g>")
    parts += [
        f'<svg x="{x:.4g}%" y="{at}" class="at"><text class="label{" strong" if point.strong else ""}" x="{dx}"'
        f' text-anchor="{anchor}">{escape(point.label)}</text></svg>'
        for point, x, at, dx, anchor in _labels(points, y)
    ]
    inside = f'<svg y="24" height="{height}">{"".join(parts)}</svg>'
    titles = (
        f'<text class="title" x="-44" y="12">{escape(up.title)}</text>'
        f'<text class="title" x="100%" y="{height + 60}" text-anchor="end">{escape(across.title)}</text>'
    )
    return Markup(
        f'<svg class="plane" width="100%" height="{height + 66}" role="img" aria-label="{escape(name)}">'
        f"{titles}{inside}</svg>"
    )


#: A usual width of a plane and of a character of its labels in pixels, by which labels are kept apart.
_WIDE, _CHARACTER, _HIGH = 620, 6.6, 13


def _labels(points: Sequence[Point], y: Callable[[float], float]) -> list[tuple[Point, float, float, float, str]]:
    """The places of the labels: beside, above or below their marks, where none is covered at a usual width."""
    taken = [(point.x / 100 * _WIDE - 6, y(point.y) - 6, point.x / 100 * _WIDE + 6, y(point.y) + 6) for point in points]
    placed = []
    for point in sorted(points, key=lambda one: (not one.strong, one.x, one.y)):
        if not point.label:
            continue
        at, middle, width = point.x / 100 * _WIDE, y(point.y), len(point.label) * _CHARACTER
        choices = [
            (9.0, 4.0, "start", at + 9),
            (-9.0, 4.0, "end", at - 9 - width),
            (0.0, -9.0, "middle", at - width / 2),
            (0.0, 18.0, "middle", at - width / 2),
        ]
        for dx, dy, anchor, left in choices:
            box = (left, middle + dy - _HIGH + 3, left + width, middle + dy + 3)
            inside = left > -20 and box[2] < _WIDE + 20
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                placed.append((point, point.x, round(middle + dy, 1), dx, anchor))
                break
    return placed


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def symbol(look: Mark) -> Markup:
    """The mark alone, for headings and lists."""
    return Markup(mark_svg(look).replace("<svg ", '<svg class="symbol" ', 1))


def legend(points: Iterable[Point]) -> Markup:
    """The marks of points with their labels, for screens on which a plane has no room for labels."""
    entries = "".join(f"<li>{symbol(point.look)} {escape(point.label)}</li>" for point in points)
    return Markup(f'<ul class="legend">{entries}</ul>')


def _mark(x: float, y: float, look: Mark) -> str:
    paint = f'class="open" stroke="{look.colour}"' if look.is_open else f'class="full" fill="{look.colour}"'
    return f'<svg x="{x:.4g}%" y="{y:g}" class="at"><{mark_geometry(look, _RADIUS)} {paint}/></svg>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.4g}%" y1="{y1:g}" x2="{x2:.4g}%" y2="{y2:g}" stroke="{colour}" stroke-width="2"/>'


def _vertical(x: float, height: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.4g}%" x2="{x:.4g}%" y1="0" y2="{height:g}"/>'


def _label(x: float, y: float, text: str, anchor: str, kind: str = "name") -> str:
    return f'<text class="{kind}" x="{x:.4g}%" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _anchor(x: float) -> str:
    return "start" if x < 4 else "end" if x > 96 else "middle"
