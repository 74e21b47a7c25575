"""The layout of a forest plot: names, marks with intervals, and numbers, one line per poisoner."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable

from ucbench.leaderboard.forest import Forest, Row
from ucbench.leaderboard.scene import Anchor, Dot, Line, Scene, Text
from ucbench.results.columns import column

#: Sizes in pixels.
_WIDTH, _ROW, _NUMBERS, _LONGEST = 720.0, 24.0, 164.0, 34
#: Mean width of a character of 12 pixels, of all common fonts a little more than the mean.
_CHARACTER = 7.1
_FAINT, _QUIET = 0.25, 0.85


def forest_scene(forest: Forest) -> Scene:
    """Draw a forest plot: mean, 95 % interval and each craft, and for ranked defenses the worst case."""
    names = [_short(row.name) for row in forest.rows]
    left = 26.0 + _CHARACTER * max(map(len, [*names, *forest.groups]))
    right = _WIDTH - _NUMBERS
    heading, notes, legend = (
        textwrap.wrap(text, int((_WIDTH - 16) / (_CHARACTER * size / 12)), break_on_hyphens=False)
        for text, size in ((forest.heading, 14), (forest.note, 11), (_legend(forest), 11))
    )
    top = 44.0 + 18 * len(heading) + 15 * len(notes)
    bottom = top + _ROW * len(names) + (_ROW + 2) * len(forest.groups)
    scene = Scene(_WIDTH, bottom + 46 + 14 * len(legend), f"{forest.heading}. {forest.note}".strip())

    def x(accuracy: float) -> float:
        return left + (right - left) * min(max(accuracy, 0.0), 100.0) / 100

    scene.add(*(Text((8, 18 + 18 * place), line, size=13, bold=True) for place, line in enumerate(heading)))
    below = 18.0 + 18 * len(heading)
    scene.add(*(Text((8, below + 15 * place), line, size=11) for place, line in enumerate(notes)))
    for tick in range(0, 101, 20):
        scene.add(
            Line((x(tick), top), (x(tick), bottom), opacity=_FAINT / 2),
            Text((x(tick), bottom + 16), str(tick), "middle", 11, opacity=_QUIET),
        )
    scene.add(
        Line((left, bottom), (right, bottom), opacity=_QUIET),
        Text(((left + right) / 2, bottom + 33), column("test_accuracy").axis, "middle", 11),
        Text((right + 100, top + _ROW - 6), "accuracy %", "end", 11, opacity=_QUIET),
        Text((_WIDTH - 8, top + _ROW - 6), "n", "end", 11, opacity=_QUIET),
        *(Text((8, bottom + 53 + 14 * place), line, size=11, opacity=_QUIET) for place, line in enumerate(legend)),
    )
    clean = math.nan if forest.clean is None else forest.clean.interval.mean
    # Labels of lines that are near each other point away from each other.
    near = not math.isnan(clean + forest.chance) and x(clean) - x(forest.chance) < 90
    ends: tuple[tuple[str, float, Anchor], ...] = ("chance", forest.chance, "end"), ("clean", clean, "start")
    for name, value, anchor in ends:
        if not math.isnan(value):
            scene.add(
                Line((x(value), top - 2), (x(value), bottom), width=1.4, dash=(2, 3) if name == "chance" else (7, 3)),
                Text((x(value), top - 8), f"{name} {value:.1f}", anchor if near else "middle", 11),
            )
    y = top
    for title, rows in forest.groups.items():
        y += _ROW + 2
        scene.add(Text((8, y - 8), title, size=11, bold=True, opacity=_QUIET))
        for row in rows:
            _draw_row(scene, row, y + _ROW / 2, x, right)
            y += _ROW
    return scene


def _draw_row(scene: Scene, row: Row, y: float, x: Callable[[float], float], right: float) -> None:
    accuracy, colour = row.accuracy.interval, row.mark.colour
    text = f"{row.name}: {accuracy.text()} %, n {row.accuracy.counts}"
    scene.add(Text((20, y + 4), _short(row.name)))
    if accuracy.is_shown:
        scene.add(Line((x(accuracy.low), y), (x(accuracy.high), y), colour, 2))
        # An end outside the axis has no cap.
        ends = [end for end in (accuracy.low, accuracy.high) if 0 <= end <= 100]
        scene.add(*(Line((x(end), y - 4), (x(end), y + 4), colour, 1.6) for end in ends))
    if len(row.accuracy.means) > 1:
        small = row.mark._replace(shape="circle", is_open=False)
        means = row.accuracy.means.values()
        scene.add(*(Dot((x(mean), y + 8), small, 1.7, 0.75, f"{row.name}: {mean:.1f} %") for mean in means))
    if row.worst:
        worst = f"{row.name}, worst case: {row.worst.text()} %"
        scene.add(Dot((x(row.worst.mean), y), row.mark._replace(is_open=True), 5, title=worst))
    scene.add(Dot((x(accuracy.mean), y), row.mark, 5.5, title=text))
    scene.add(
        Text((right + 100, y + 4), accuracy.text(), "end"),
        Text((_WIDTH - 8, y + 4), row.accuracy.counts, "end", 11, opacity=_QUIET),
    )


def _legend(forest: Forest) -> str:
    """What the marks mean, as far as there are any."""
    parts = ["Mark: mean without defense"]
    if any(row.accuracy.interval.is_shown for row in forest.rows):
        parts.append("bar: 95 % interval over crafts")
    if any(len(row.accuracy.means) > 1 for row in forest.rows):
        parts.append("dots: crafts")
    if any(row.worst for row in forest.rows):
        parts.append("outline: worst case, where a ranked defense helps the exploiter")
    return "; ".join(parts) + "; n: crafts x trainings."


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
