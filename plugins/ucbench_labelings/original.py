"""The labels the data set came with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench import ImageSet, Params

if TYPE_CHECKING:
    from ucbench import Run


class Original:
    """The data set's own labels."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: Run) -> tuple[ImageSet, ImageSet]:
        return published.with_labels(clean.known_labels, clean.classes), test
