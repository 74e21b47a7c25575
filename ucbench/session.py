"""What a run's work is about and where it is kept: data sets, read once, and the store. All that a plan needs.

Nothing here imports torch: that takes longer than planning thousands of cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ucbench.data import ImageSet, LoadedDataset, load_dataset, set_aside
from ucbench.data.mixture import protected_part
from ucbench.errors import UsageError
from ucbench.matrix.matrix import Cell
from ucbench.numerics import Numerics
from ucbench.plugins.registry import Component
from ucbench.progress import Progress
from ucbench.store.store import Store
from ucbench.store.timings import Timings


@dataclass(frozen=True)
class Protected:
    """The protector's share of a training set: ``indices`` int64 ``[M]`` into it, and those images."""

    indices: np.ndarray[Any, np.dtype[np.int64]]
    images: ImageSet


class Session:
    """Reads and remembers data sets.

    Args:
        store: where releases, fitted surrogates and records are kept.
        numerics: the arithmetic everything is made with.
        progress: where stages report.
    """

    def __init__(self, store: Store, numerics: Numerics, progress: Progress) -> None:
        self.store, self.numerics, self.progress = store, numerics, progress
        self.costs = Timings(store.root)
        self._data: dict[str, LoadedDataset] = {}

    def dataset(self, dataset: Component) -> LoadedDataset:
        """Both splits of a data set; what was decided in loading is reported once."""
        name = str(dataset)
        if name not in self._data:
            self._data[name] = load_dataset(dataset.build(), dataset.params, self.store)
            loaded = self._data[name]
            self.progress.say(
                f"{name}: {len(loaded.train)} training and {len(loaded.test)} test images of "
                f"{loaded.train.size[0]}x{loaded.train.size[1]} pixels, {len(loaded.train.classes)} classes"
                + (f" ({loaded.note})" if loaded.note else "")
            )
        return self._data[name]

    def data(self, cell: Cell) -> LoadedDataset:
        """The cell's data set, the images that the exploiter is trusted with taken out of its training split."""
        if not cell.trusted:
            return self.dataset(cell.dataset)
        name = f"{cell.dataset}/{cell.trusted}"
        if name not in self._data:
            loaded = self.dataset(cell.dataset)
            train, trusted = set_aside(loaded.train, cell.trusted)
            self._data[name] = replace(loaded, train=train, trusted=trusted)
        return self._data[name]

    def protected(self, cell: Cell) -> Protected:
        """The images the protector owns: all, or the stratified part that the mixture names."""
        train = self.data(cell).train
        if cell.mixture == 1 or cell.craft.seed is None:
            return Protected(np.arange(len(train)), train)
        indices = protected_part(train.known_labels, cell.mixture, cell.craft.seed)
        if not len(indices):
            raise UsageError(f"A mixture of {cell.mixture:g} protects not one image of {cell.dataset}; raise it.")
        return Protected(indices, train.subset(indices))
