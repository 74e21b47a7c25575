"""Image sheets of releases: what their files are called, and where their images are.

:mod:`ucbench.export.sheet` draws them, :mod:`ucbench.leaderboard.sheets` finds and shows them.
"""

from __future__ import annotations

from typing import NamedTuple

from ucbench.results.records import Record

#: Smallest side of a drawn image, and the width to keep to, in pixels.
SIDE, WIDTH = 64, 1600
#: Gaps between images of a triple and between triples, head and margin for text, and a line of it, in pixels.
GAP, BREAK, HEAD, MARGIN, LINE = 4, 16, 76, 150, 18


def sheet_name(record: Record) -> str:
    """The file name of the sheet of the record's release. It is made of the record's text, which might be a path."""
    return f"{record['components'].get('poisoner', {}).get('name')}-{str(record['release'])[:12]}.png"


class SheetLayout(NamedTuple):
    """Where the images of a sheet are, in pixels.

    Attributes:
        size: height and width of a drawn image.
        columns: triples in a row.
        rows: rows of triples, the one of sham noise among them.
        strip: images of the strip at true size, which are of ``true`` height and width.
    """

    size: tuple[int, int]
    columns: int
    rows: int
    strip: int
    true: tuple[int, int]

    def triple(self, row: int, column: int, place: int) -> tuple[int, int]:
        """Left and top of an image: place 0 is the original, 1 the perturbation, 2 the release."""
        left = MARGIN + column * (3 * self.size[1] + 2 * GAP + BREAK) + place * (self.size[1] + GAP)
        return left, HEAD + row * (self.size[0] + BREAK)

    def true_size(self, line: int, column: int) -> tuple[int, int]:
        """Left and top of an image of the strip: line 0 has originals, 1 their releases."""
        top = self.triple(self.rows, 0, 0)[1] + LINE + 8
        return MARGIN + column * (self.true[1] + GAP), top + line * (max(self.true[0], LINE) + GAP)

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        width = max(self.triple(0, self.columns, 0)[0], self.true_size(0, self.strip)[0])
        return max(width, 560), self.true_size(2, 0)[1] + 12


def layout_of(image: tuple[int, int], rows: int, columns: int, strip: int) -> SheetLayout:
    """The layout of this many rows, with at most ``columns`` triples and ``strip`` images at true size.

    Args:
        image: height and width of the data set's images.
    """
    scale = max(1, -(-SIDE // max(image)))
    height, width = (side * scale for side in image)
    triple = 3 * width + 2 * GAP + BREAK
    fitting = max(1, min(columns, (WIDTH - MARGIN) // triple))
    true = max(1, min(strip, (fitting * triple - BREAK + GAP) // (image[1] + GAP)))
    return SheetLayout((height, width), fitting, rows, true, image)
