"""What an unfinished craft saves, so that one that is interrupted ends in the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ucbench import CraftRun

Arrays = Mapping[str, NDArray[Any]]


class Saved:
    """The parts of a craft, by name: trained students, and perturbations fitted or being fitted.

    The clusters are not among them: they are computed again. A checkpoint of other clusters is not used.

    Args:
        assignment: int64 ``[N]``, the cluster of each image.
    """

    def __init__(self, run: CraftRun, assignment: NDArray[np.int64]) -> None:
        self._checkpoint, self._step = run.checkpoint, 0
        self._assignment = assignment
        self._parts: dict[str, dict[str, NDArray[Any]]] = {}
        step, arrays = run.checkpoint.load() or (0, {})
        if np.array_equal(arrays.get("clusters", ()), assignment):
            self._step = step
            for full in arrays.keys() - {"clusters"}:
                part, _, name = full.partition(".")
                self._parts.setdefault(part, {})[name] = arrays[full]

    def __getitem__(self, part: str) -> Arrays:
        """The arrays of a part, by name; empty if nothing of it is saved."""
        return self._parts.get(part, {})

    def __setitem__(self, part: str, arrays: Arrays) -> None:
        """Save a part, and with it all others: a checkpoint is one file."""
        self._parts[part] = dict(arrays)
        self._step += 1
        named = {f"{part}.{name}": array for part, arrays in self._parts.items() for name, array in arrays.items()}
        self._checkpoint.save(self._step, {"clusters": self._assignment, **named})
