"""A small drawing of lines, texts and marks, as SVG text or as a matplotlib figure.

The SVG is written here, so that it needs no package and is the same, byte for byte, with every version of matplotlib: a
leaderboard's check compares it. Text stays text. What has no colour takes that of the text around it where the SVG
stands in a page, and in a file :data:`~ucbench.leaderboard.marks.INK`, which reads on white and on near-black.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ucbench.errors import UsageError, visible
from ucbench.leaderboard.marks import INK, Mark
from ucbench.store.files import atomic_write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXTRA = "ucbench[plot]"
#: Dates and versions of programs, which matplotlib would write, by the ending of a file.
_OMITTED = {"png": ("Software",), "svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
Anchor = Literal["start", "middle", "end"]


class Line(NamedTuple):
    """A straight line; without ``colour`` in that of the text, ``dash`` in lengths of stroke and gap."""

    start: tuple[float, float]
    end: tuple[float, float]
    colour: str = ""
    width: float = 1.0
    dash: tuple[float, ...] = ()
    opacity: float = 1.0


class Text(NamedTuple):
    """One line of text whose baseline passes ``at``."""

    at: tuple[float, float]
    text: str
    anchor: Anchor = "start"
    size: float = 12.0
    bold: bool = False
    opacity: float = 1.0


class Dot(NamedTuple):
    """A mark of a radius; ``title`` is what a browser shows under the pointer."""

    at: tuple[float, float]
    mark: Mark
    radius: float = 5.0
    opacity: float = 1.0
    title: str = ""


@dataclass
class Scene:
    """Shapes on a transparent ground, in pixels from the upper left corner; later ones cover earlier ones."""

    width: float
    height: float
    title: str = ""
    shapes: list[Line | Text | Dot] = field(default_factory=list)

    def add(self, *shapes: Line | Text | Dot) -> None:
        self.shapes += shapes

    def svg(self, *, inline: bool = False) -> str:
        """The drawing as SVG.

        Args:
            inline: for a page, whose text colour it takes; otherwise a file.
        """
        start = "<svg" if inline else f'<svg xmlns="http://www.w3.org/2000/svg" color="{INK}"'
        title = escape(visible(self.title))
        return "\n".join(
            [
                f'{start} viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
                f' width="{_n(self.width)}" height="{_n(self.height)}" role="img" aria-label="{title}"'
                f' font-family="{_FONT}">',
                f"<title>{title}</title>",
                *map(_element, self.shapes),
                "</svg>\n",
            ]
        )

    def figure(self) -> Figure:
        """The drawing as a matplotlib figure.

        Raises:
            UsageError: if matplotlib is missing; the text has the install line.
        """
        need_matplotlib()
        from matplotlib.figure import Figure

        class Shown(Figure):
            """A notebook shows it, whether or not pyplot was imported."""

            def _repr_png_(self) -> bytes:
                return png(self)

        figure = Shown(figsize=(self.width / 96, self.height / 96), dpi=96)
        figure.patch.set_alpha(0)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for place, shape in enumerate(self.shapes):
            _draw(axes, shape, place)
        return figure


def have_matplotlib() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def need_matplotlib() -> None:
    """Raise a UsageError with the install line if matplotlib is missing."""
    if not have_matplotlib():
        raise UsageError(f'Figures are drawn with matplotlib, not installed here. Run: pip install "{EXTRA}"')


def png(figure: Figure, dpi: float = 192) -> bytes:
    """A figure as PNG, on a transparent ground: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata=dict.fromkeys(_OMITTED["png"]))
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's ending names: the same figure gives the same bytes.

    An SVG file needs matplotlib's setting ``svg.hashsalt`` for that. Missing parent folders are created.
    """
    ending = path.suffix[1:].lower()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending or None, dpi=150, metadata=dict.fromkeys(_OMITTED.get(ending, ())) or None)
    atomic_write_bytes(path, buffer.getvalue())


def mark_svg(mark: Mark) -> str:
    """A mark alone, to stand in a line of text of a page."""
    element = _element(Dot((6, 6), mark, 6 / 1.35))
    return f'<svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">{element}</svg>'


def mark_geometry(mark: Mark, radius: float, at: tuple[float, float] = (0.0, 0.0)) -> str:
    """The start of the element of a mark's shape: its name and geometry."""
    x, y = at
    if not mark.points:
        return f'circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"'
    return f'polygon points="{" ".join(f"{_n(x + radius * dx)},{_n(y + radius * dy)}" for dx, dy in mark.points)}"'


def _n(value: float) -> str:
    """At most two decimals."""
    return f"{round(value, 2) + 0.0:g}" if abs(value) < 1e4 else f"{value:.0f}"


def _element(shape: Line | Text | Dot) -> str:
    opacity = "" if shape.opacity == 1 else f' opacity="{_n(shape.opacity)}"'
    if isinstance(shape, Line):
        (x1, y1), (x2, y2) = shape.start, shape.end
        dash = f' stroke-dasharray="{" ".join(map(_n, shape.dash))}"' if shape.dash else ""
        return (
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{shape.colour or "currentColor"}"'
            f' stroke-width="{_n(shape.width)}"{dash}{opacity}/>'
        )
    x, y = shape.at
    if isinstance(shape, Text):
        anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
        bold = ' font-weight="600"' if shape.bold else ""
        text = escape(visible(shape.text))
        return (
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(shape.size)}"{anchor}{bold} fill="currentColor"{opacity}>'
            f"{text}</text>"
        )
    ink = shape.mark.colour
    paint = f'fill="none" stroke="{ink}" stroke-width="1.6"' if shape.mark.is_open else f'fill="{ink}"'
    title = f"<title>{escape(visible(shape.title))}</title>" if shape.title else ""
    geometry = mark_geometry(shape.mark, shape.radius, shape.at)
    name = geometry.partition(" ")[0]
    return f"<{geometry} {paint}{opacity}>{title}</{name}>" if title else f"<{geometry} {paint}{opacity}/>"


#: Points of a font per pixel.
_POINT = 0.75
_ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def _draw(axes: Any, shape: Line | Text | Dot, place: int) -> None:
    from matplotlib.patches import Circle, Polygon

    if isinstance(shape, Line):
        (x1, y1), (x2, y2) = shape.start, shape.end
        axes.plot(
            [x1, x2], [y1, y2], color=shape.colour or INK, alpha=shape.opacity, linewidth=_POINT * shape.width,
            linestyle=(0, [length / shape.width for length in shape.dash]) if shape.dash else "-", zorder=place,
            solid_capstyle="butt", scalex=False, scaley=False,
        )  # fmt: skip
    elif isinstance(shape, Text):
        axes.text(
            *shape.at, visible(shape.text), color=INK, alpha=shape.opacity, fontsize=_POINT * shape.size, zorder=place,
            ha=_ALIGNED[shape.anchor], va="baseline", weight="bold" if shape.bold else "normal", parse_math=False,
        )  # fmt: skip
    else:
        corners: Sequence[tuple[float, float]] = [
            (shape.at[0] + shape.radius * dx, shape.at[1] + shape.radius * dy) for dx, dy in shape.mark.points
        ]
        patch: Any = Polygon(corners) if corners else Circle(shape.at, shape.radius)
        patch.set(
            facecolor="none" if shape.mark.is_open else shape.mark.colour,
            edgecolor=shape.mark.colour,
            linewidth=1.2 if shape.mark.is_open else 0,
            alpha=shape.opacity,
            zorder=place,
        )
        axes.add_patch(patch)
