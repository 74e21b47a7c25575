"""One colour and one mark per poisoner, the same in every figure.

Shipped poisoners have theirs in a table, so that neither the order of rows nor other poisoners change them. Others get
one from a hash of their name. References are grey and open. The shapes of shipped poisoners are all different. Colours
differ by at least 20 CIELAB units for normal and for dichromatic vision (Machado et al., 2009), with a contrast of at
least 3 to white and to near-black.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import NamedTuple

from ucbench.plugins.builtin import CLEAN, POSITIVE, SHAM, SHUFFLED
from ucbench.plugins.grammar import base_name

#: Blue, red, green, mauve, olive, violet, brick.
PALETTE = ("#056eba", "#fa181b", "#02a979", "#a9568c", "#8a9d43", "#6e44db", "#aa403e")
#: Grey of references, and of whatever a figure shows without colour.
GREY = "#808080"
#: Text and lines of files, which cannot know what they are shown on: 4.5 to 1 on white, 4.2 on near-black.
INK = "#757575"

Points = tuple[tuple[float, float], ...]


class Mark(NamedTuple):
    """The look of a poisoner.

    Attributes:
        colour: ``#rrggbb``.
        shape: one of :data:`SHAPES`.
        is_open: drawn as an outline, as references are.
    """

    colour: str
    shape: str
    is_open: bool = False

    @property
    def points(self) -> Points:
        """The corners of its shape, see :data:`SHAPES`; none for a circle."""
        return SHAPES[self.shape]

    def muted(self) -> Mark:
        """The same shape in grey."""
        return self._replace(colour=GREY)


def _regular(corners: int, radius: float = 1.0, inner: float | None = None) -> Points:
    """A regular polygon with a corner on top; with ``inner``, a star of as many points."""
    radii = [radius] if inner is None else [radius, inner]
    steps = corners * len(radii)
    turns = [2 * math.pi * step / steps for step in range(steps)]
    return tuple(
        (round(radii[step % len(radii)] * math.sin(turn), 3), round(-radii[step % len(radii)] * math.cos(turn), 3))
        for step, turn in enumerate(turns)
    )


def _turned(points: Points, degrees: float) -> Points:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return tuple((round(x * cosine - y * sine, 3), round(x * sine + y * cosine, 3)) for x, y in points)


_TRIANGLE = _regular(3, 1.15)
_PLUS: Points = (
    (-0.36, -1.05), (0.36, -1.05), (0.36, -0.36), (1.05, -0.36), (1.05, 0.36), (0.36, 0.36), (0.36, 1.05),
    (-0.36, 1.05), (-0.36, 0.36), (-1.05, 0.36), (-1.05, -0.36), (-0.36, -0.36),
)  # fmt: skip
_HOURGLASS: Points = ((-0.9, -0.9), (0.9, -0.9), (-0.9, 0.9), (0.9, 0.9))
_CORNER: Points = ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95))
#: The corners of each shape, y downwards, in units of a mark's radius. A circle has none.
SHAPES: dict[str, Points] = {
    "circle": (),
    "square": _turned(_regular(4, 1.2), 45),
    "diamond": _regular(4, 1.2),
    "triangle-up": _TRIANGLE,
    "triangle-down": _turned(_TRIANGLE, 180),
    "triangle-left": _turned(_TRIANGLE, 270),
    "triangle-right": _turned(_TRIANGLE, 90),
    "cross": _PLUS,
    "x": _turned(_PLUS, 45),
    "star": _regular(5, 1.3, 0.55),
    "pentagon": _regular(5, 1.1),
    "diamond-tall": tuple((round(0.55 * x, 3), y) for x, y in _regular(4, 1.35)),
    "hourglass": _HOURGLASS,
    "bowtie": _turned(_HOURGLASS, 90),
    "hexagon": _turned(_regular(6, 1.1), 30),
    "octagon": _turned(_regular(8, 1.1), 22.5),
    "hexagram": _regular(6, 1.3, 0.75),
    "star-square": _turned(_regular(4, 1.35, 0.55), 45),
    "star-diamond": _regular(4, 1.35, 0.55),
    "star-triangle-up": _regular(3, 1.35, 0.4),
    "star-triangle-down": _turned(_regular(3, 1.35, 0.4), 180),
    "diamond-wide": tuple((x, round(0.55 * y, 3)) for x, y in _regular(4, 1.35)),
    "triangle-ne": _CORNER,
    "triangle-sw": _turned(_CORNER, 180),
    "triangle-nw": _turned(_CORNER, 270),
    "triangle-se": _turned(_CORNER, 90),
}

_BLUE, _RED, _GREEN, _MAUVE, _OLIVE, _VIOLET, _BRICK = PALETTE
_SHIPPED = {
    CLEAN: Mark(GREY, "circle", True),
    SHAM: Mark(GREY, "square", True),
    POSITIVE: Mark(GREY, "triangle-up", True),
    SHUFFLED: Mark(GREY, "diamond", True),
    "uc": Mark(_BLUE, "circle"),
    "eminn": Mark(_RED, "square"),
    "lsp": Mark(_GREEN, "triangle-up"),
    "mi-ue": Mark(_VIOLET, "diamond"),
    "adv-poison": Mark(_OLIVE, "triangle-down"),
    "rand-class": Mark(_MAUVE, "cross"),
    "ar": Mark(_BRICK, "star"),
    "eminn-class": Mark(_BRICK, "pentagon"),
    "emaxn": Mark(_MAUVE, "triangle-left"),
    "hypo": Mark(_GREEN, "triangle-right"),
    "ops": Mark(_OLIVE, "x"),
    "cuda": Mark(_BLUE, "hourglass"),
    "rand-sample": Mark(_VIOLET, "bowtie"),
    "release": Mark(_RED, "diamond-tall"),
    "pil": Mark(_GREEN, "hexagon"),
    "rem": Mark(_RED, "octagon"),
    "sem": Mark(_BRICK, "hexagram"),
    "aue": Mark(_BLUE, "star-square"),
    "aap": Mark(_OLIVE, "star-diamond"),
    "tue": Mark(_VIOLET, "star-triangle-up"),
    "sep": Mark(_MAUVE, "star-triangle-down"),
    "entf": Mark(_GREEN, "diamond-wide"),
    "one-for-all": Mark(_RED, "triangle-ne"),
    "gue": Mark(_BRICK, "triangle-sw"),
    "pue": Mark(_BLUE, "triangle-nw"),
    "ntga": Mark(_OLIVE, "triangle-se"),
}
#: What other poisoners may get.
_FREE = [mark for shape in SHAPES for colour in PALETTE if (mark := Mark(colour, shape)) not in _SHIPPED.values()]


def mark_of(poisoner: str) -> Mark:
    """The mark of a poisoner by its name or reference; :func:`marks` keeps several of other plugins apart."""
    return marks([poisoner])[poisoner]


def marks(poisoners: Iterable[str]) -> dict[str, Mark]:
    """The marks of one figure, by name or reference.

    Options and presets do not count: ``uc`` and ``uc:clusters=20`` have one mark. Names that are not shipped and have
    the same hash get different marks, whatever their order; more than there are marks (156) share them.
    """
    names = list(poisoners)
    bases = sorted({base_name(name) for name in names})
    by_base = {base: _SHIPPED[base] for base in bases if base in _SHIPPED}
    others = [base for base in bases if base not in _SHIPPED]
    taken: set[int] = set()
    for base in others:
        place = int.from_bytes(hashlib.sha256(base.encode()).digest()[:4], "big") % len(_FREE)
        while place in taken and len(taken) < len(_FREE):
            place = (place + 1) % len(_FREE)
        taken.add(place)
        by_base[base] = _FREE[place]
    return {name: by_base[base_name(name)] for name in names}
